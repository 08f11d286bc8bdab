"""Rows of items as what a store hands out: `Item`, `SearchItem`.

Pure functions. Not here: which rows (`item_batch.py`, `item_store.py`).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from perdure.storage.contract import ItemRow
from perdure.storage.filters import Predicate
from perdure.storage.item_codec import ItemCodec
from perdure.storage.lifetimes import MINUTE
from perdure.store.base import Item, SearchItem

__all__ = ["item_of", "moment_of", "search_item_of", "value_if", "value_of", "written_in"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT: Final = 1_000_000 << 32
"""Before this (2106) seconds as a float64 lie less than half a microsecond off, so they are rounded to the right one."""
_LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)


def value_of(codec: ItemCodec, row: ItemRow) -> dict[str, Any]:
    """The value, decoded, as its contract has it now: a new object each time."""
    assert row.value is not None  # noqa: S101 - reads give live items only
    return codec.decode(row.namespace, row.key, row.value)


def value_if(codec: ItemCodec, row: ItemRow, fits: Predicate) -> dict[str, Any] | None:
    """As `value_of`; None: it does not meet the filter, see `ItemCodec.decode_if`."""
    assert row.value is not None  # noqa: S101 - as above
    return codec.decode_if(row.namespace, row.key, row.value, fits)


def written_in(codec: ItemCodec, row: ItemRow) -> dict[str, Any]:
    """The value as it was written: what words and vectors are made of."""
    assert row.value is not None  # noqa: S101 - as above
    return codec.written(row.namespace, row.key, row.value)[0]


def item_of(codec: ItemCodec, row: ItemRow) -> Item:
    """The row as an item."""
    created, updated = _times(row)
    return Item(
        value=value_of(codec, row),
        key=row.key,
        namespace=row.namespace,
        created_at=created,
        updated_at=updated,
        version=row.version,
        revision=_revision(row),
        expires_at=None if row.expires is None else moment_of(row.expires),
        ttl=None if row.ttl is None else row.ttl / MINUTE,
    )


def search_item_of(
    row: ItemRow,
    value: dict[str, Any],
    score: float | None = None,
    cursor: str | None = None,
    explanation: dict[str, Any] | None = None,
) -> SearchItem:
    """The row as an item that was found, with its value as decoded before.

    `score` where it was ranked, `cursor` where a listing goes on behind it.
    """
    created, updated = _times(row)
    return SearchItem(
        row.namespace,
        row.key,
        value,
        created,
        updated,
        score,
        version=row.version,
        revision=_revision(row),
        cursor=cursor,
        explanation=explanation,
        expires_at=None if row.expires is None else moment_of(row.expires),
        ttl=None if row.ttl is None else row.ttl / MINUTE,
    )


def _revision(row: ItemRow) -> str | None:
    return None if row.version < 0 else str(row.revision)


def _times(row: ItemRow) -> tuple[datetime, datetime]:
    """When it was made, and when it was written; most items are written once."""
    created = moment_of(row.created_at)
    return created, created if row.updated_at == row.created_at else moment_of(row.updated_at)


def moment_of(micros: int) -> datetime:
    """Microseconds since 1970 as a time of UTC; of what no `datetime` can say, the last one that it can."""
    if 0 <= micros < _EXACT:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    return _EPOCH + timedelta(microseconds=micros) if micros < _LAST else datetime.max.replace(tzinfo=UTC)
