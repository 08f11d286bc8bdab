"""How a store encodes, files and embeds its items: its settings, looked at together.

Here: `codec_of`. Not here: what each setting means (`storage/text/settings.py`, `storage/vectors/settings.py`,
`storage/contracts/book.py`), what the encoding does (`storage/item_codec.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from perdure.errors import QueryError
from perdure.storage.contracts.book import Contracts, contracts_of
from perdure.storage.item_codec import ItemCodec
from perdure.storage.text.settings import fields_of, filer_of
from perdure.storage.vectors.settings import embedder_of
from perdure.store.base import Contract

if TYPE_CHECKING:
    from perdure.codec import Cipher

__all__ = ["checked_plaintext", "codec_of"]

_KNOWN: Final = (
    "dims",
    "embed",
    "base_url",
    "fields",
    "distance",
    "distance_type",
    "model",
    "on_embed_error",
    "catch_up",
    "batch_size",
    "max_concurrency",
    "cache_bytes",
    "language",
    "text",
)


def codec_of(
    index: Mapping[str, Any] | None,
    cipher: Cipher | None = None,
    loads: Callable[[bytes], dict[str, Any]] | None = None,
    contracts: Iterable[Contract] | Contracts | None = None,
    plaintext: Sequence[str] | None = None,
) -> ItemCodec:
    """The encoding of a store with this `index=`, these `contracts=`, and in an encrypted database this `plaintext=`.

    Raises:
        PerdureError: an unknown setting, or one that cannot be right.
    """
    if index is not None:
        if not isinstance(index, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
            raise QueryError(f"index={index!r}: give a dict with {', '.join(_KNOWN)}.", part="index")
        unknown = [name for name in index if name not in _KNOWN]
        if unknown:
            raise QueryError(
                f"index has the unknown setting {unknown[0]!r}. Known are {', '.join(_KNOWN)}.",
                part=unknown[0],
            )
    shown = checked_plaintext(plaintext, encrypted=cipher is not None)
    agreed = contracts_of(contracts)
    if cipher is None:
        return ItemCodec(loads=loads, filer=filer_of(index), embedder=embedder_of(index), contracts=agreed)
    if not shown:
        if index is not None and index.get("embed") is not None:
            raise QueryError(
                "index= has an embedding model, but the database is encrypted: vectors and words would tell what is in it."
                " Leave embed out, or name the fields that may be found: plaintext=[...].",
                part="embed",
            )
        return ItemCodec(cipher, loads=loads, contracts=agreed)
    given = _within(index, shown)
    filer, embedder = filer_of(given, shown), embedder_of(given)
    return ItemCodec(cipher, loads=loads, filer=filer, embedder=embedder, contracts=agreed, shown=shown)


def checked_plaintext(given: object, *, encrypted: bool) -> tuple[str, ...]:
    """The paths of `plaintext=`, each once.

    Raises:
        QueryError: they are no paths of fields, or nothing is encrypted.
    """
    if given is None:
        return ()
    if not encrypted:
        raise QueryError(
            "plaintext= says what of an encrypted database may be found; this one is not encrypted, so everything may. Leave"
            " it out, or give encryption=.",
            part="plaintext",
        )
    if isinstance(given, str) or not isinstance(given, list | tuple):
        raise QueryError(
            f"plaintext={given!r}: give a list of paths, such as ['title', 'tags[*]'].", part="plaintext"
        )
    for path in cast("Sequence[object]", given):
        if not isinstance(path, str) or not path.strip("$ "):
            raise QueryError(
                f"plaintext={given!r}: {path!r} is no path of a field. Name each field that may be found.",
                part="plaintext",
            )
    return tuple(dict.fromkeys(cast("Sequence[str]", given)))


def _within(index: Mapping[str, Any] | None, shown: tuple[str, ...]) -> dict[str, Any]:
    """The setting, its fields being those that may be found, or some of them."""
    given = dict(index or {})
    fields = fields_of(given)
    for path in fields or ():
        if path not in shown:
            raise QueryError(
                f"index fields={list(fields or ())!r}: the database is encrypted, and {path!r} is not in"
                f" plaintext={list(shown)!r}. Nothing was opened.",
                part="fields",
            )
    given["fields"] = list(shown if fields is None else fields)
    return given
