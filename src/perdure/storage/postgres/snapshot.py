"""Answers about one moment of a Postgres database.

Here: `PostgresSnapshot`, which joins them, and what is special about revisions. Not here: how it is asked (`asking.py`),
what is answered (`storage/tables/snapshot.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from perdure.codec import encode_namespace, text_to_bytes
from perdure.storage.contract import Disagreement, ItemRow, Namespace, Revision
from perdure.storage.contract.disagreements import PATHS, told
from perdure.storage.path_ranges import PathRanges
from perdure.storage.postgres.many import PostgresMany
from perdure.storage.postgres.parameters import Bytes
from perdure.storage.postgres.paths import bounds_of
from perdure.storage.postgres.words import PostgresWords
from perdure.storage.standing import Anchors, Near
from perdure.storage.tables.asking import FEW_NAMESPACES, LAST, bounded
from perdure.storage.tables.packing import pack_id, range_of
from perdure.storage.tables.past import first_after
from perdure.storage.tables.snapshot import TableSnapshot
from perdure.storage.tables.values import items_of

if TYPE_CHECKING:
    from perdure.storage.contract.foretelling import Asked
    from perdure.storage.postgres.readings import Reading

__all__ = ["PostgresSnapshot"]

_SORTED: Final = 2000  # items of ranges that are sorted for a page; more are rather read from the newest on


class PostgresSnapshot(PostgresWords, PostgresMany, TableSnapshot):
    """One moment. Made by `PostgresBackend.read()`, of no use after its block."""

    def __init__(self, reading: Reading, where: str, source: object) -> None:
        super().__init__(reading, where, source)
        self._guessed: list[tuple[bytes, bytes]] = []
        self._views: set[tuple[tuple[bytes, bytes], Revision, int]] = set()  # of the past

    def _rows_of(self, table: str) -> int:
        ((rows,),) = self._ask(f"count_{table}")
        return int(rows)

    def preselected(
        self, prefix: Namespace, wanted: Sequence[PathRanges], before: int | None, limit: int
    ) -> list[ItemRow] | None:
        """As `items`, of those that have what is wanted at the first path that is declared; None: none is, or too many have."""
        first, end = range_of(prefix)
        newest = LAST if before is None else max(0, min(before, LAST))
        asked = (first, end, newest, min(limit, LAST), self._now)
        line = self._open().line
        ready = line.ready.names
        if ready is None:
            if line.few.get((first, end)) is None:  # what will be asked where no path is of use
                self._foresee("count_namespaces", (first, end, FEW_NAMESPACES + 1))
            ready = line.ready.tell(self._ask("declared_paths"))
        for one in wanted:
            name = text_to_bytes(one.path)
            if name not in ready:
                continue
            least, greatest = map(Bytes, bounds_of(one.ranges))
            if one.exact:
                rows = self._ask("preselected_by_values", (*asked, name, least))
                if rows:
                    return items_of([row for row in rows if row[0] is not None])
            else:
                rows = self._ask("preselected_by_ranges", (*asked, name, least, greatest, _SORTED + 1))
                if rows and rows[0][0] <= _SORTED:
                    return items_of([row[1:] for row in rows if row[1] is not None])
            if not rows:
                line.ready.forget()  # it was dropped
        return None

    def _index(self, name: str) -> int:
        """The index's number, which never changes: asked for once a process, or of each other history of the database."""
        line = self._open().line
        number = line.index_numbers.get((line.history, name))
        if number is None:
            number = super()._index(name)
            if number > 0:
                line.index_numbers[line.history, name] = number
        return number

    def disagreements(self) -> list[Disagreement]:
        """Where what is made of the items does not agree with them, declared paths included."""
        ((strays,),) = self._ask("path_values_of_nobody")
        return [*super().disagreements(), *told((PATHS, strays))]

    def foretell_checkpoint(self, thread: str, ns: str, id: str, questions: Sequence[Asked]) -> None:
        """Beside the next question."""
        place = text_to_bytes(thread), text_to_bytes(ns), pack_id(id)
        for question in questions:
            self._foresee(question, place)

    def _few(self, inside: tuple[bytes, bytes]) -> bool:
        """As it was last time, where that is known: it decides how the next question is asked, and nothing of its answer."""
        known = self._open().line.few.get(inside)
        if known is not None:
            self._foresee("count_namespaces", (*inside, FEW_NAMESPACES + 1))
            self._guessed.append(inside)
            return known
        few = super()._few(inside)
        self._open().line.few.learn(inside, few)
        return few

    def end(self) -> None:
        """Later questions are errors."""
        for inside in self._guessed:
            told = self._answer_of("count_namespaces", (*inside, FEW_NAMESPACES + 1))
            if told is not None:
                self._open().line.few.learn(inside, told[0][0] <= FEW_NAMESPACES)
        self._guessed.clear()
        super().end()

    def foretell_items_at(
        self, places: Sequence[tuple[Namespace, str]], revisions: Sequence[Revision]
    ) -> None:
        """Beside the next question."""
        self._foresee("floor", ())
        for namespace, key in places:
            place = encode_namespace(namespace), text_to_bytes(key)
            for revision in revisions:
                self._foresee("item_at", (*place, first_after(revision)))

    # -- the past: only of what is decided ---------------------------------------------------------------------------

    def _sees(self, revision: Revision) -> None:
        if revision.seq > self._open().decided:
            super()._sees(revision)

    def revision_at(self, at: int) -> Revision:
        """The greatest decided revision whose commit was made at or before."""
        rows = self._ask("seq_at", (bounded(at), self._newest()))
        return Revision(0, rows[0][0] if rows else 0)

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        """The item as it was then."""
        self._sees(revision)
        return super().item_at(namespace, key, revision, at)

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        """Items of the subtree as they were then, greatest version first."""
        self._sees(revision)
        few = self._foresee_past(prefix, revision, at)
        if few is not None and at is not None:
            newest = min(LAST if before is None else max(0, min(before, LAST)), first_after(revision))
            living = (*range_of(prefix), newest, min(limit, LAST), bounded(at))
            self._foresee("items_of_few" if few else "items_of_many", living)
        return super().items_at(prefix, revision, before, limit, at)

    def around_at(
        self, anchors: Anchors, count: int, revision: Revision, at: int | None = None
    ) -> list[Near]:
        """As `around`, as it was then."""
        self._sees(revision)
        return super().around_at(anchors, count, revision, at)

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        """Namespaces of the subtree that held a live item then."""
        self._sees(revision)
        self._foresee_past(prefix, revision, at)
        if at is not None:
            untouched = (*range_of(prefix), first_after(revision), bounded(at))
            self._foresee("namespaces_untouched", untouched)
        return super().namespaces_at(prefix, revision, at)

    def _foresee_past(self, prefix: Namespace, revision: Revision, at: int | None) -> bool | None:
        """What every view of a subtree asks. Whether that has few namespaces, if it is known."""
        inside = range_of(prefix)
        few = self._open().line.few.get(inside)
        self._foresee("floor", ())
        if few is None:
            self._foresee("count_namespaces", (*inside, FEW_NAMESPACES + 1))
        elif at is not None and (inside, revision, at) not in self._views:  # asked once
            self._views.add((inside, revision, at))
            stood = (*inside, first_after(revision), bounded(at))
            self._foresee("stood_of_few" if few else "stood_of_many", stood)
        return few
