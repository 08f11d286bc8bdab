"""Items written under older versions of their contracts, written anew under the present ones: in batches, each a commit.

In the order in which they were written, so that listings stay in their order. An item that was rewritten is of the
present version: whoever was stopped goes on where it was by calling again. Here: batches. Not here: arguments
(`item_contracts.py`), what the new value is (`book.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from perdure.errors import ContractError, VersionConflict
from perdure.storage import outcome
from perdure.storage.contract import (
    Backend,
    ItemIs,
    ItemRow,
    Namespace,
    Origin,
    PutItem,
    chunks,
    commit_now,
)
from perdure.storage.contracts.book import Contracts
from perdure.storage.item_codec import ItemCodec
from perdure.storage.staging import Operation
from perdure.storage.upkeep import wrote

__all__ = ["ACTOR", "Migrated", "rewritten"]

ACTOR: Final = "contract"
"""The actor of versions that brought items up to date."""
_BATCH: Final = 200
_PAGE: Final = 500
_TRIES: Final = 1000


@dataclass(frozen=True, slots=True)
class Migrated:
    """What `store.migrate_contracts` did.

    Attributes:
        rewritten: items that were written anew.
        left: items still to do, as far as is known; at the end, those that cannot be brought up to date.
    """

    rewritten: int
    left: int


def rewritten(
    codec: ItemCodec, contracts: Contracts, backend: Backend, prefix: Namespace
) -> Iterator[Migrated]:
    """What was done so far, after each batch.

    Raises:
        ContractError: at the end, if there are items that cannot be brought up to date: the first of them, and how many.
        EmbeddingError: the model failed; what was done before stays.
    """
    places = _older(codec, contracts, backend, prefix)
    done, failed = Migrated(0, len(places)), list[ContractError]()
    for some in chunks(places, _BATCH):
        count = _batch(codec, contracts, backend, some, failed)
        done = Migrated(done.rewritten + count, done.left - len(some))
        yield Migrated(done.rewritten, done.left + len(failed))
    if failed:
        first = failed[0]
        more = f" So {len(failed) - 1} more." if len(failed) > 1 else ""
        first.args = (f"{first}{more} {done.rewritten} other items were rewritten.",)
        raise first
    yield done


def _older(
    codec: ItemCodec, contracts: Contracts, backend: Backend, prefix: Namespace
) -> list[tuple[Namespace, str]]:
    """The items of the subtree that are of another version than their contract, first written first."""
    found: list[tuple[Namespace, str]] = []
    before: int | None = None
    while True:
        with backend.read() as snapshot:
            rows = snapshot.items(prefix, before, _PAGE)
        found += [(row.namespace, row.key) for row in rows if _is_older(codec, contracts, row)]
        if len(rows) < _PAGE:
            return found[::-1]
        before = rows[-1].version


def _is_older(codec: ItemCodec, contracts: Contracts, row: ItemRow) -> bool:
    agreed = contracts.of(row.namespace)
    if agreed is None or row.value is None:
        return False
    return codec.written(row.namespace, row.key, row.value)[1] != agreed.version


def _batch(
    codec: ItemCodec,
    contracts: Contracts,
    backend: Backend,
    places: Sequence[tuple[Namespace, str]],
    failed: list[ContractError],
) -> int:
    """How many were rewritten; what others write meanwhile is looked at again."""
    for attempt in range(_TRIES):
        errors: list[ContractError] = []
        with backend.read() as snapshot:
            rows = [snapshot.item(*place) for place in places]
        older = [row for row in rows if row is not None and _is_older(codec, contracts, row)]
        made = [(row, op) for row in older if (op := _made(codec, row, errors)) is not None]
        if not made:
            failed += errors
            return 0
        operations = [op for _, op in made]
        codec.embed(codec.lacking(operations))
        puts = [
            PutItem(
                op.namespace,
                op.key,
                op.value,
                Origin(actor=ACTOR),
                codec.filed_of(op),
                op.paths,
                op.embedded,
                keeps=True,
            )
            for op in operations
        ]
        expected = [ItemIs(row.namespace, row.key, row.version) for row, _ in made]
        try:
            outcome.commit(backend, commit_now(versions=expected, items=puts))
        except VersionConflict:
            if attempt + 1 == _TRIES:
                raise
        else:
            wrote(backend, puts)
            failed += errors
            return len(puts)
    raise AssertionError("the last attempt returns or raises")


def _made(codec: ItemCodec, row: ItemRow, errors: list[ContractError]) -> Operation | None:
    """The write that brings the item up to date; None: it cannot be, and the error says why."""
    assert row.value is not None  # noqa: S101 - the caller looked
    try:
        value = codec.decode(row.namespace, row.key, row.value)
        stored = codec.encode(row.namespace, row.key, value)
    except ContractError as error:
        errors.append(error)
        return None
    return Operation(row.namespace, row.key, stored, 0, paths=row.paths)
