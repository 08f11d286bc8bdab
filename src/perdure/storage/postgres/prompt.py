"""Snapshots of one round trip: for a search of which nothing is unusual, in a namespace that has not changed.

The transaction begins with the first question, and ends with the one that is most likely the last; where these are one, it is that
statement alone. What namespaces a subtree has with vectors, and when they changed, is answered as it was last time, and asked beside the
next question: if it is so no longer, or one more question comes, the answer that was begun is worth nothing, and `Again` is raised.

Here: `PromptReading`. Not here: ordinary snapshots (`readings.py`), what is foreseen (`foreseen.py`), who falls back (`storage/item_store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from perdure.codec import bytes_to_text, text_to_bytes
from perdure.storage.contract import Again, ItemRow, Namespace, Snapshot, VectorSpace
from perdure.storage.postgres.asking import Asked
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.foreseen import FEW, Below, Seen
from perdure.storage.postgres.horizon import Reach
from perdure.storage.postgres.near import LAG, as_text
from perdure.storage.postgres.parameters import Ints
from perdure.storage.postgres.readings import Reading
from perdure.storage.postgres.snapshot import PostgresSnapshot
from perdure.storage.postgres.talking import Said, say_all
from perdure.storage.tables.values import item_of

if TYPE_CHECKING:
    from perdure.storage.postgres.line import Line

__all__ = ["PromptReading"]

_DISTRUST_SECONDS: Final = 60.0
_LAST: Final = frozenset({"items_by_id", "items_of_few", "items_of_many"})  # what most answers end with


class PromptReading(Reading):
    """The block of one."""

    __slots__ = ("_over", "_prompt")

    def __enter__(self) -> Snapshot:
        self.connection = self.line.take(parting=True)
        self._begun = self._over = False
        self._prompt = PromptSnapshot(self, self.line)
        return self._prompt

    def reach(self) -> Reach:
        """Not from here: raises Again."""
        raise Again

    @property
    def decided(self) -> int:
        """Not here: who asks how far it sees needs an ordinary snapshot."""
        raise Again

    def said(self, said: list[Said], *, last: bool) -> list[list[Any]]:
        """The answers, in one round trip with the beginning or the end of the transaction. One statement is a snapshot by itself."""
        if self._over:
            raise Again
        before: list[Said] = []
        after: list[Said] = []
        limits = self.line.limits
        if self._begun or not last or len(said) != 1 or limits:
            if not self._begun:
                before.append((self.statements["begin_read"].text, ()))
                if limits:
                    before.append((limits, ()))
            if last:
                after.append((self.statements["rollback"].text, ()))
        self._begun, self._over = True, last
        try:
            answers = say_all(self.connection, [*before, *said, *after])
        except psycopg.Error as error:
            self._over = (
                True  # the connection is in a transaction, or gone: it is closed when it is given back
            )
            raise Again from error
        return answers[len(before) : len(before) + len(said)]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._prompt.verify()
        finally:
            try:
                self._prompt.end()
            finally:
                if self._over:
                    self.line.give(self.connection)
                else:
                    self._part()


class PromptSnapshot(PostgresSnapshot):
    """Its moment."""

    def __init__(self, reading: PromptReading, line: Line) -> None:
        super().__init__(reading, line.place.name, line)
        self._prompt = reading
        self._foreseen: Seen | None = None  # what is to be verified
        self._number = 0  # of the model, where there are spaces

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """As it was last time, where that is known; then it is the same list."""
        asked = (*self._range(prefix), text_to_bytes(model))
        seen = self._prompt.line.foreseen.get(asked)
        if seen is None:
            seen = self._learnt(asked)
        elif self._foreseen is None:
            self._foreseen = seen
        if seen.spaces:
            self._number = self._index(model)
        return seen.spaces

    def _learnt(self, asked: Below) -> Seen:
        self._open()
        q = self._prompt.statements
        digests: Said = (q["spaces_digest"].text, (*asked, b""))
        rows, found = self._answer_of("vector_spaces", asked), []
        if rows is None:
            rows, found = self._answers([(q["vector_spaces"].text, asked), digests])
        elif len(rows) > FEW:
            (found,) = self._answers([digests])
        spaces = list(map(VectorSpace._make, rows))
        if len(spaces) <= FEW:
            seen = Seen(asked, spaces, None)
        else:
            ((moment, digest),) = found
            seen = Seen(asked, spaces, digest)
            self._so_in(seen, moment)
        self._prompt.line.foreseen.learn(seen)
        return seen

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        """The live items. What was foreseen is verified in the same statement."""
        seen = self._foreseen
        if seen is None or not seen.spaces:
            return super().rows(refs)
        if seen.digest is None:
            return self._rows_of_few(seen, refs)
        question = (*seen.asked, self._moment(seen), Ints(refs), self._now)
        found = self._found("found_in_many", question)
        ((_, moment, digest, *_),) = [row for row in found if row[0] is None]
        self._compare_digest(seen, moment, digest)
        name_of = self._prompt.line.foreseen.name_of
        return {
            row[0]: item_of(name_of(row[1]), bytes_to_text(row[2]), row[3:])
            for row in found
            if row[0] is not None
        }

    def _rows_of_few(self, seen: Seen, refs: Sequence[int]) -> dict[int, ItemRow]:
        if not {ref >> 32 for ref in refs} <= {space.space for space in seen.spaces}:
            return super().rows(refs)  # some were found by words, where nothing has a vector
        first, end, _ = seen.asked
        found = self._found("found_in_few", (first, end, self._number, Ints(refs), self._now))
        spaces: list[VectorSpace] = []
        names: dict[int, Namespace] = {}
        name_of = self._prompt.line.foreseen.name_of
        for row in found:
            if row[2] is None:
                spaces.append(VectorSpace(row[0], row[3], row[4]))
                names[row[0]] = name_of(row[1])
        self._compare(seen, spaces)
        return {
            row[0]: item_of(names[row[0] >> 32], bytes_to_text(row[2]), row[3:])
            for row in found
            if row[2] is not None
        }

    def _found(self, name: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._open()
        self._foreseen = None
        return self._prompt.said([(self._prompt.statements[name].text, values)], last=True)[0]

    def nearest(
        self, space: VectorSpace, model: str, question: Sequence[float], distance: str, count: int
    ) -> list[tuple[int, bytes]] | None:
        """By an index that somebody asked for (`tending.py`), with all that was written since it was brought up to date."""
        line, q = self._prompt.line, self._prompt.statements
        number = self._index(model)
        if not line.near.known:
            extension, spaces = self._answers([(q["near_extension"].text, ()), (q["near_spaces"].text, ())])
            line.near.tell(line.place.schema, extension, spaces)
        copy = line.near.copy(space.space, number)
        if copy is None or (copy.setting.dims, copy.setting.distance) != (len(question), distance):
            return None
        try:
            state, _, found = self._answers(
                [
                    (q["near_state"].text, (space.space, number)),
                    (copy.asking(count), ()),
                    (copy.nearest(), (as_text(question), count, LAG + 1)),
                ]
            )
        except Again as again:
            if not again.changed:  # the index is gone, or the extension
                line.near.forget(seconds=_DISTRUST_SECONDS)
            raise
        if not state or state[0][1:] != (1, copy.setting.packed()):
            line.near.forget()
            return None
        return sorted(dict(found).items()) if len(found) <= count + LAG else None

    def verify(self) -> None:
        """What was foreseen is so. Raises Again if not."""
        if self._foreseen is not None:
            self._answers([])

    def _foresee_spaces(self, asked: Below) -> None:
        if self._prompt.line.foreseen.get(asked) is None:
            super()._foresee_spaces(asked)

    def _ask_all(self, asked: Sequence[Asked]) -> list[list[Any]]:
        self._open()
        q = self._prompt.statements
        last = asked[-1][0] in _LAST
        return self._answers([(q[name].text, values) for name, values in asked], last=last)

    def _answers(self, said: list[Said], *, last: bool = False) -> list[list[Any]]:
        self._open()
        seen, self._foreseen = self._foreseen, None
        if seen is None:
            return self._prompt.said(said, last=last)
        q = self._prompt.statements
        if seen.digest is None:
            question: Said = (q["vector_spaces"].text, seen.asked)
        else:
            question = (q["spaces_digest"].text, (*seen.asked, self._moment(seen)))
        so, *answers = self._prompt.said([question, *said], last=last or not said)
        if seen.digest is None:
            self._compare(seen, so)
        else:
            self._compare_digest(seen, *so[0])
        return answers

    # -- whether what was foreseen is so -----------------------------------------------------------------------------

    def _moment(self, seen: Seen) -> bytes:
        """When it was so, as far as that can be told; empty: it cannot."""
        line = self._prompt.line
        return b"" if line.limits else line.foreseen.moment(self._prompt.connection, seen)

    def _so_in(self, seen: Seen, moment: bytes) -> None:
        line = self._prompt.line
        if not line.limits:  # behind a pooler, who knows whose moment that is
            line.foreseen.was_so(self._prompt.connection, seen, moment)

    def _compare(self, seen: Seen, spaces: list[Any]) -> None:
        if spaces != seen.spaces:
            now = list(map(VectorSpace._make, spaces))
            foreseen = self._prompt.line.foreseen
            if len(now) <= FEW:
                foreseen.learn(replace(seen, spaces=now))
            else:
                foreseen.forget(seen)
            raise Again(changed=True)

    def _compare_digest(self, seen: Seen, moment: bytes, digest: bytes | None) -> None:
        if digest is not None:  # another moment
            if digest != seen.digest:
                self._prompt.line.foreseen.forget(seen)
                raise Again(changed=True)
            self._so_in(seen, moment)
