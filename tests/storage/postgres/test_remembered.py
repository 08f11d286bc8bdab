"""Steps of threads that a process remembers: one round trip, and never on the word of memory alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure import clock
from perdure.errors import StaleThread
from perdure.storage.contract import (
    Commit,
    HeadIs,
    PutItem,
    RemoveSegments,
    RemoveThread,
    RemoveWrites,
    SegmentRow,
    WriteRow,
)
from perdure.testing.backends import checkpoint_of

pytest.importorskip("psycopg")

import psycopg

from perdure.storage.postgres import PostgresBackend, gathering, remembered
from perdure.storage.tables.rows import Prepared


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[[], PostgresBackend]]:
    made: list[PostgresBackend] = []

    def one() -> PostgresBackend:
        made.append(PostgresBackend(postgres_url))
        return made[-1]

    yield one
    for backend in made:
        backend.close()


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many statements went with each round trip."""
    found: list[int] = []
    say_all = gathering.say_all

    def counted(connection: Any, said: Any) -> Any:
        found.append(len(said))
        return say_all(connection, said)

    monkeypatch.setattr(gathering, "say_all", counted)
    monkeypatch.setattr(remembered, "say_all", counted)
    return found


def step(n: int, before: int | None = None, *, thread: str = "t", **rest: Any) -> Commit:
    """The thread's n-th, which expects the one before."""
    head = f"{n - 1 if before is None else before:04}" if n else None
    return Commit(
        clock.uuid6().bytes,
        1,
        heads=[HeadIs(thread, "", head)],
        checkpoints=[checkpoint_of(thread, f"{n:04}", head)],
        segments=[SegmentRow(thread, 1, n, 1, 0, b"x")],
        **rest,
    )


def test_a_step_is_at_most_two_round_trips_and_one_where_the_thread_is_remembered(
    opened: Callable[[], PostgresBackend], trips: list[int]
) -> None:
    backend = opened()
    counts: list[int] = []
    for n in range(8):
        trips.clear()
        backend.commit(step(n))
        counts.append(len(trips))

    assert counts == [2, 1, 1, 1, 1, 1, 1, 1]
    assert trips == [7]  # BEGIN, locks and number, proof, a row each of three tables, COMMIT
    trips.clear()
    backend.commit(step(8, items=[PutItem(("s",), "k", b"v")]))
    assert len(trips) == 2
    trips.clear()
    backend.commit(
        step(
            9,
            writes=[WriteRow("t", "", "0009", "task", 0, "p", "c", b"w")],
            removals=[RemoveWrites("t", "", "0008")],
        )
    )
    assert len(trips) == 1
    with backend.read() as now:
        assert [row.id for row in now.checkpoints("t", "", None, None)] == [
            f"{n:04}" for n in range(9, -1, -1)
        ]
        assert [row.revision.seq for row in now.checkpoints("t", "", None, None) if row.revision] == list(
            range(10, 0, -1)
        )
        assert now.revision().seq == 10


def test_two_processes_take_turns_on_a_thread(
    opened: Callable[[], PostgresBackend], trips: list[int]
) -> None:
    backends = [opened(), opened()]
    for n in range(12):
        backends[n // 3 % 2].commit(step(n))

    with backends[0].read() as now:
        assert now.head("t", "") == "0011"
        assert now.logs("t") == [(1, 12)]
        assert [segment.start for segment in now.segments("t", 1, 99)] == list(range(12))


def test_whoever_is_behind_is_told_what_stands_not_what_is_remembered(
    opened: Callable[[], PostgresBackend],
) -> None:
    one, other = opened(), opened()
    for n in range(3):
        one.commit(step(n))
    other.commit(step(3))
    other.commit(step(4))

    with pytest.raises(StaleThread) as stale:
        one.commit(step(3))

    assert stale.value.found == "0004"
    one.commit(step(5))


def test_a_head_of_the_same_name_that_was_put_anew_is_another(opened: Callable[[], PostgresBackend]) -> None:
    one, other = opened(), opened()
    for n in range(3):
        one.commit(step(n))
    mine = one.commit(Commit(clock.uuid6().bytes, 1, checkpoints=[checkpoint_of("t", "0003", "0002")]))
    other.commit(
        Commit(clock.uuid6().bytes, 1, checkpoints=[checkpoint_of("t", "0003", "0002", state=b"new")])
    )

    expected = HeadIs("t", "", "0003", mine)
    with pytest.raises(StaleThread):
        one.commit(
            Commit(clock.uuid6().bytes, 1, heads=[expected], checkpoints=[checkpoint_of("t", "0004", "0003")])
        )


def test_a_thread_that_another_removed_and_began_again_is_written_to_under_its_new_numbers(
    opened: Callable[[], PostgresBackend],
) -> None:
    one, other = opened(), opened()
    for n in range(3):
        one.commit(step(n))
    other.commit(Commit(clock.uuid6().bytes, 1, removals=[RemoveThread("t")]))
    for n in range(3):
        other.commit(step(n))

    one.commit(step(3))

    with one.read() as now:
        assert [row.id for row in now.checkpoints("t", "", None, None)] == ["0003", "0002", "0001", "0000"]
        assert [segment.start for segment in now.segments("t", 1, 99)] == [0, 1, 2, 3]
        assert (now.count("checkpoints"), now.count("segments")) == (4, 4)


def test_a_step_that_arrives_late_when_it_was_made_otherwise_is_refused(
    opened: Callable[[], PostgresBackend],
) -> None:
    """Its sender lost the connection, heard nothing, and has made it on another one."""
    backend = opened()
    for n in range(3):
        backend.commit(step(n))
    line, kept = backend._line, backend._work._lanes[0].kept
    write = WriteRow("t", "", "0002", "task", 0, "p", "c", b"w")
    member = Prepared(Commit(clock.uuid6().bytes, 1, heads=[HeadIs("t", "", "0002")], writes=[write]))
    connection = line.take()
    steps = [
        remembered.Step(connection, line.statements, kept.numbers, kept.remembered, member) for _ in range(2)
    ]

    for one in steps:
        assert one.gathered()
    steps[0].commit_at_once(None)
    with pytest.raises(psycopg.errors.DivisionByZero):
        steps[1].commit_at_once(None)

    line.give(connection, sound=False)
    with backend.read() as now:
        assert now.revision().seq == 4


def test_a_log_that_another_removed_gets_a_new_number(opened: Callable[[], PostgresBackend]) -> None:
    one, other = opened(), opened()
    for n in range(3):
        one.commit(step(n))
    other.commit(Commit(clock.uuid6().bytes, 1, removals=[RemoveSegments("t", 1)]))

    one.commit(step(3))

    with one.read() as now:
        assert [segment.start for segment in now.segments("t", 1, 99)] == [3]
        assert now.logs("t") == [(1, 4)]


def test_a_checkpoint_between_others_goes_the_long_way(opened: Callable[[], PostgresBackend]) -> None:
    backend = opened()
    for n in (0, 2, 4):
        backend.commit(
            Commit(
                clock.uuid6().bytes,
                1,
                checkpoints=[checkpoint_of("t", f"{n:04}", f"{n - 2:04}" if n else None)],
            )
        )

    backend.commit(Commit(clock.uuid6().bytes, 1, checkpoints=[checkpoint_of("t", "0003", "0000")]))

    with backend.read() as now:
        assert [(row.id, row.parent) for row in now.checkpoints("t", "", None, None)] == [
            ("0004", "0002"), ("0003", "0000"), ("0002", "0000"), ("0000", None),
        ]  # fmt: skip
