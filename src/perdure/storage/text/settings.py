"""What a store's `index=` says about words: the language, the fields, or that there are to be none.

Here: `filer_of`, the setting to what files. Not here: vectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from perdure.errors import QueryError
from perdure.storage.text.analyser import analyser
from perdure.storage.text.filer import Filer

__all__ = ["fields_of", "filer_of"]


def filer_of(index: Mapping[str, Any] | None, shown: Sequence[str] | None = None) -> Filer | None:
    """How a store with this setting files by words; None: it does not. `shown`: no other paths, whatever an item says.

    Raises:
        QueryError: an unknown language, or fields that are no paths.
    """
    given = index or {}
    text = given.get("text", True)
    if not isinstance(text, bool):
        raise QueryError(f"index text={text!r}: give True or False.", part="text")
    fields = fields_of(given)
    return Filer(analyser(given.get("language", "english")), fields, shown) if text else None


def fields_of(index: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The paths that a store with this setting indexes; None: all texts of a value. `["$"]` says that as well."""
    fields = index.get("fields")
    if fields is None:
        return None
    if not isinstance(fields, list | tuple) or not all(
        isinstance(path, str) for path in cast("list[object]", fields)
    ):
        raise QueryError(
            f"index fields={fields!r}: give a list of paths, such as ['text', 'tags[*]'].", part="fields"
        )
    paths = tuple(cast("list[str]", fields))
    return None if paths in (("$",), ("",)) else paths
