"""A question to the database fails, as where a connection is lost, at number n of a program, for n = 1, 2, 3 ... until none is met: it is called again,
and ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from crash.kit import Kept, in_turn
from crash.program import checked_chains, drawn, go_on, memory_of
from databases import KINDS
from perdure import Database, connect
from perdure.engine.headcache import HEADS
from perdure.errors import Unavailable
from perdure.storage.contract import Backend, Snapshot
from perdure.testing.faulty import Faulty

NAME = "t"


class FailingOnce(Faulty):
    """A backend of which the n-th question fails: a read that begins, or what it asks."""

    def __init__(self, backend: Backend, number: int = 0) -> None:
        super().__init__(backend)
        self._number = number
        self.asked = 0
        self.at_work = True

    def count_one(self) -> None:
        with self._lock:
            self.asked += self.at_work
            if self.at_work and self.asked == self._number:
                raise Unavailable(f"fault: question {self._number}", operation="read")

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        self.count_one()
        with super().read() as snapshot:
            yield cast("Snapshot", Asked(snapshot, self))


class Asked:
    """A snapshot that asks first whether it may answer."""

    def __init__(self, snapshot: Snapshot, backend: FailingOnce) -> None:
        self._snapshot = snapshot
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._snapshot, name)
        if callable(found):
            self._backend.count_one()
        return found


def over(backend: Backend) -> Database:
    HEADS.clear()
    db = connect("memory://")
    db.replace_backend(backend)
    return db


def ended(backend: FailingOnce, durability: str) -> tuple[Any, Any]:
    """What the thread ends with, and memory; the program is called again where a question fails."""
    db = over(backend)
    graph: Any = drawn().compile(db)
    for _ in range(9):
        try:
            end = go_on(graph, NAME, durability=durability)
        except Unavailable:
            continue
        backend.at_work = False
        checked_chains(db)
        return end, in_turn(memory_of(db))
    raise AssertionError("it does not end")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
def test_a_question_that_fails_anywhere_leaves_nothing_that_cannot_be_gone_on_from(
    kept: Kept, kind: str, durability: str, every: int
) -> None:
    with kept(kind) as backend:
        counted = FailingOnce(backend)
        clean = ended(counted, durability)
    assert counted.asked > 60

    for number in range(1, counted.asked + 1, every):
        with kept(kind) as backend:
            assert ended(FailingOnce(backend, number), durability) == clean, f"question {number}"
