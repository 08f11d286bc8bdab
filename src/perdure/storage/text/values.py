"""Which texts an item's value has. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from perdure.store.base.paths import get_text_at_path

__all__ = ["strings_of", "texts_of"]


def strings_of(value: object) -> Iterator[str]:
    """All strings in a JSON value, in order, at any depth. Not keys, not numbers."""
    waiting: list[object] = [value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, str):
            yield inner
        elif isinstance(inner, Mapping):
            waiting += reversed(list(cast("Mapping[str, object]", inner).values()))
        elif isinstance(inner, list | tuple):
            waiting += reversed(cast("Sequence[object]", inner))


def texts_of(value: object, fields: Sequence[str] | None) -> Iterator[str]:
    """The texts to index.

    Args:
        value: a JSON value.
        fields: paths as the index configuration has them (`"title"`, `"notes[*].text"`), at which numbers count as
            text; None means all strings of the value.
    """
    if fields is None:
        yield from strings_of(value)
        return
    for path in fields:
        yield from get_text_at_path(value, path)
