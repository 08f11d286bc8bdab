"""Snapshots of one round trip: for a search of which nothing is unusual, in a namespace that has not changed.

The transaction begins with the first question, and ends with the one that is most likely the last. What namespaces a subtree has with
vectors, and when they changed, is answered as it was last time, and asked beside the next question: if it is so no longer, or one more
question comes, the answer that was begun is worth nothing, and `Again` is raised.

Here: `PromptReading`. Not here: ordinary snapshots (`readings.py`), what is foreseen (`foreseen.py`), who falls back (`storage/item_store.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from perdure.codec import text_to_bytes
from perdure.storage.contract import Again, Namespace, Snapshot, VectorSpace
from perdure.storage.postgres.asking import Asked
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.horizon import Reach
from perdure.storage.postgres.near import LAG, as_text
from perdure.storage.postgres.readings import Reading
from perdure.storage.postgres.snapshot import PostgresSnapshot
from perdure.storage.postgres.talking import Said, say_all

if TYPE_CHECKING:
    from perdure.storage.postgres.line import Line

__all__ = ["PromptReading"]

_SPACES: Final = "vector_spaces"
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

    def said(self, said: list[Said], *, last: bool) -> list[list[Any]]:
        """The answers, in one round trip with the beginning or the end of the transaction."""
        if self._over:
            raise Again
        before: list[Said] = []
        if not self._begun:
            before.append((self.statements["begin_read"].text, ()))
            if self.line.limits:
                before.append((self.line.limits, ()))
        after: list[Said] = [(self.statements["rollback"].text, ())] if last else []
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
            self._prompt.end()
            if self._over:
                self.line.give(self.connection)
            else:
                self._part()


class PromptSnapshot(PostgresSnapshot):
    """Its moment."""

    def __init__(self, reading: PromptReading, line: Line) -> None:
        super().__init__(reading, line.place.name, line)
        self._prompt = reading
        self._foreseen: tuple[tuple[bytes, bytes, bytes], list[tuple[Any, ...]]] | None = (
            None  # what is to be verified
        )

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """As it was last time, where that is known."""
        asked = (*self._range(prefix), text_to_bytes(model))
        known = self._prompt.line.foreseen.get(asked)
        if known is None:
            known = self._ask(_SPACES, asked)
            self._prompt.line.foreseen.learn(asked, known)
        elif self._foreseen is None:
            self._foreseen = asked, known
        return list(map(VectorSpace._make, known))

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

    def _foresee_spaces(self, asked: tuple[bytes, bytes, bytes]) -> None:
        if self._prompt.line.foreseen.get(asked) is None:
            super()._foresee_spaces(asked)

    def _ask_all(self, asked: Sequence[Asked]) -> list[list[Any]]:
        self._open()
        q = self._prompt.statements
        last = asked[-1][0] in _LAST
        return self._answers([(q[name].text, values) for name, values in asked], last=last)

    def _answers(self, said: list[Said], *, last: bool = False) -> list[list[Any]]:
        if self._foreseen is None:
            return self._prompt.said(said, last=last)
        (asked, known), self._foreseen = self._foreseen, None
        question: Said = (self._prompt.statements[_SPACES].text, asked)
        now, *answers = self._prompt.said([question, *said], last=last or not said)
        if now != known:
            self._prompt.line.foreseen.learn(asked, now)
            raise Again(changed=True)
        return answers
