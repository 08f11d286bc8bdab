"""Many items, or a whole thread, in one question each: what copies and pruning ask.

Here: `PostgresMany`, of a snapshot. Not here: who asks (`contract/many.py`), statements (`queries/admin.postgres.sql`).
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.codec import bytes_to_text, decode_namespace, encode_namespace, text_to_bytes
from perdure.storage.contract import Chained, ItemRow, Namespace, Revision, RunRow, SegmentRow, StagedRow
from perdure.storage.tables.packing import pack_id, unpack_task
from perdure.storage.tables.past_answers import PastAnswers
from perdure.storage.tables.values import item_of

__all__ = ["PostgresMany"]

Place = tuple[Namespace, str]


class PostgresMany(PastAnswers):
    """See the contract, `ManyAnswers`; and of `ForetoldAnswers` what is of items."""

    def __init__(self, where: str, source: object) -> None:
        super().__init__(where, source)
        self._items: dict[Place, ItemRow | None] = {}  # that were asked for together

    def foretell_items(self, places: Sequence[Place]) -> None:
        """In one question."""
        new = list(dict.fromkeys(place for place in places if place not in self._items))
        self._items.update(zip(new, self.items_at_places(new), strict=True))

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The live item, or None."""
        place = namespace, key
        return self._items[place] if place in self._items else super().item(namespace, key)

    def histories(self, places: Sequence[Place]) -> list[list[ItemRow]]:
        """All kept versions of each item, newest first."""
        found: list[list[ItemRow]] = [[] for _ in places]
        for row in self._ask_many("history_of_many", _numbered(places)):
            number: int = row[0]
            found[number].append(item_of(*places[number], row[1:]))
        for versions in found:
            versions.sort(key=lambda row: -row.version)
        return found

    def items_at_places(self, places: Sequence[Place]) -> list[ItemRow | None]:
        """Each live item, or None."""
        found: list[ItemRow | None] = [None] * len(places)
        for row in self._ask_many("item_of_many", _numbered(places), self._now):
            number: int = row[0]
            found[number] = item_of(*places[number], row[1:])
        return found

    def times_of(self, revisions: Sequence[Revision]) -> list[int]:
        """When each commit was made; 0: there is none."""
        known = dict(self._ask_many("time_of_many", [(one.seq,) for one in revisions]))
        return [known.get(one.seq, 0) for one in revisions]

    def staged_of(self, places: Sequence[Chained]) -> dict[Chained, list[StagedRow]]:
        """The staged memory of each of these checkpoints that has any."""
        wanted = [
            (number, text_to_bytes(thread), text_to_bytes(ns), pack_id(id))
            for number, (thread, ns, id) in enumerate(places)
        ]
        found: dict[Chained, list[StagedRow]] = {}
        for one in self._ask_many("staged_of", wanted):
            number: int = one[0]
            task, index, space, key, payload = one[1:]
            thread, ns, id = place = places[number]
            row = StagedRow(
                thread, ns, id, unpack_task(task), index, decode_namespace(space), bytes_to_text(key), payload
            )
            found.setdefault(place, []).append(row)
        for rows in found.values():
            rows.sort(key=lambda row: (row.task, row.index))
        return found

    def segments_of(self, thread: str) -> list[SegmentRow]:
        """All segments of all logs of the thread."""
        return [SegmentRow(thread, *row) for row in self._ask("segments_of", (text_to_bytes(thread),))]

    def runs_of(self, thread: str, ids: Sequence[str]) -> list[RunRow]:
        """Those of these runs that are there."""
        wanted = [(number, text_to_bytes(thread), pack_id(id)) for number, id in enumerate(ids)]
        found: list[tuple[int, int, bytes]] = sorted(self._ask_many("run_of_many", wanted))
        return [RunRow(thread, ids[number], at, metadata) for number, at, metadata in found]


def _numbered(places: Sequence[Place]) -> list[tuple[int, bytes, bytes]]:
    return [
        (number, encode_namespace(namespace), text_to_bytes(key))
        for number, (namespace, key) in enumerate(places)
    ]
