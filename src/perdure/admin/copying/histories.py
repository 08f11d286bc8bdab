"""An item's versions on both sides: equal but for numbers, or what differs.

Here: what a version is, whatever database it stands in. Pure. Not here: reading and mending (`comparing.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from perdure.storage.contract import ItemRow, Revision
from perdure.storage.item_codec import ItemCodec

__all__ = ["digest_of", "digests", "told"]


def told(versions: Sequence[ItemRow], until: Revision | None = None) -> list[ItemRow]:
    """The versions, newest first, that can be copied: not those behind `until`, nor deletions of what is kept no more.

    A put of nothing where nothing is makes no version.
    """
    found = [row for row in versions if until is None or row.revision <= until]
    while found and found[-1].value is None:
        found.pop()
    return found


def digests(codec: ItemCodec, versions: Sequence[ItemRow]) -> list[bytes]:
    """Of each version."""
    return [digest_of(codec, row) for row in versions]


def digest_of(codec: ItemCodec, row: ItemRow) -> bytes:
    """SHA-256 of what the version says: value, times, end, who wrote it. Not its numbers, nor how it is sealed."""
    plain = None if row.value is None else codec.unseal(row.namespace, row.key, row.value)
    said = (
        row.namespace,
        row.key,
        plain,
        row.created_at,
        row.updated_at,
        tuple(row.origin),
        row.expires,
        row.ttl,
    )
    return hashlib.sha256(repr(said).encode()).digest()
