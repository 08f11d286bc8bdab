"""Where items that a task staged stand among those of their namespace: where the commit of its step will put them.

What is made anew has the time of its commit, one for all of a commit, so within it items stand by their numbers: a key that
comes again while its deletion is kept has the one that it had, keys that are new get theirs in the order of their first
writes. What replaces an item stands where that stood.
Here: `staged_standing`. Not here: standings as such (`standing.py`), what stands beside what (`neighbours.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias

from perdure import clock
from perdure.storage.contract import ItemRow, Namespace, Snapshot, Standing
from perdure.storage.staging import Layer, Operation, staged_in
from perdure.storage.standing import Near

__all__ = ["StagedStanding", "staged_standing"]

Place: TypeAlias = tuple[Namespace, str]

_NEW: Final = 1 << 62  # above every number of a committed item


class StagedStanding(NamedTuple):
    """What is staged in the namespaces of some items.

    Attributes:
        live: the staged items of each namespace, in order.
        touched: the places of everything staged, deletions included.
        most: of how many items of one namespace something staged stands over what is committed, at most.
        numbers: of the items that were asked about.
    """

    live: dict[Namespace, Near]
    touched: Mapping[Place, Standing | None]
    most: int
    numbers: Mapping[Place, int]

    def of(self, row: ItemRow) -> Standing:
        """Where one of the items that were asked about stands."""
        place = row.namespace, row.key
        return self.touched.get(place) or (row.created_at, self.numbers[place])


def staged_standing(snapshot: Snapshot, layers: Sequence[Layer], rows: Sequence[ItemRow]) -> StagedStanding:
    """What the layers hold in the namespaces of these items, which the reader sees. One question for all numbers."""
    spaces = {row.namespace for row in rows}
    last = [op for op in staged_in(layers, ()) if op.namespace in spaces]
    made = _made(op for layer in layers for op in list(layer.operations) if op.namespace in spaces)
    places = [(row.namespace, row.key) for row in rows] + [(op.namespace, op.key) for op in last]
    numbers = snapshot.numbers(list(dict.fromkeys(places)))
    for place in made:
        numbers.setdefault(place, _NEW + len(numbers))
    now = clock.micros()
    live: dict[Namespace, Near] = {space: [] for space in spaces}
    touched: dict[Place, Standing | None] = {}
    for op in last:
        place, row = (op.namespace, op.key), op.row(snapshot)
        touched[place] = None
        if row is not None:
            touched[place] = at = _time(snapshot, made[place], row, now), numbers[place]
            live[op.namespace].append((at, row))
    for near in live.values():
        near.sort(key=itemgetter(0))
    most = max(Counter(op.namespace for op in last).values(), default=0)
    return StagedStanding(live, touched, most, numbers)


class _Made(NamedTuple):
    """How a staged item came to be: by which write, and whether a deletion was staged before it."""

    by: Operation | None  # None: it is deleted
    anew: bool


def _made(operations: Iterable[Operation]) -> dict[Place, _Made]:
    """For each place that is written by what is staged, in the order of their first writes."""
    made: dict[Place, _Made] = {}
    deleted: set[Place] = set()
    for op in operations:
        place = op.namespace, op.key
        before = made.get(place)
        if op.value is None:
            deleted.add(place)
            if before is not None:
                made[place] = _Made(None, True)  # it keeps its turn
        elif before is None or before.by is None:
            made[place] = _Made(op, place in deleted)
    return made


def _time(snapshot: Snapshot, made: _Made, row: ItemRow, now: int) -> int:
    """By when the item will stand, once it is committed."""
    before = snapshot.item(row.namespace, row.key)
    if before is not None and not made.anew:
        return row.created_at
    at = now if made.by is None or made.by.committed is None else made.by.committed
    return at if before is None else max(at, before.updated_at)
