"""Snapshots that begin with their first question, and whose end nobody waits for: nothing is left open, and nothing is lost by it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

pytest.importorskip("psycopg")

from psycopg import pq

from perdure.errors import StorageError
from perdure.storage.contract import Again, Commit, PutItem, Snapshot, asked, commit_now
from perdure.storage.memory.backend import MemoryBackend
from perdure.storage.postgres import talking
from perdure.storage.postgres.backend import PostgresBackend
from perdure.storage.postgres.snapshot import PostgresSnapshot

ME = ("users", "ada")


def put(key: str) -> Commit:
    return commit_now(items=[PutItem(ME, key, b"x")])


@pytest.fixture
def backend(postgres_url: str) -> Iterator[Any]:
    with closing(PostgresBackend(postgres_url + "&pool_max=1")) as made:
        yield made


@pytest.fixture
def elsewhere(postgres_url: str, backend: Any) -> Iterator[Any]:
    """As another process has it."""
    with closing(PostgresBackend(postgres_url)) as made:
        yield made


def pid_of(backend: Any) -> int:
    connection = backend._line.take()
    backend._line.give(connection)
    return connection.info.backend_pid


def keys(now: Snapshot) -> list[str]:
    return [row.key for row in now.items((), None, 10)]


def until(what: Callable[[], Any]) -> None:
    end = time.monotonic() + 10
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_its_moment_is_that_of_the_first_question(backend: Any, elsewhere: Any) -> None:
    def question(now: Snapshot) -> tuple[list[str], list[str], int]:
        elsewhere.commit(put("before"))
        first = keys(now)
        elsewhere.commit(put("behind"))
        return first, keys(now), now.revision().seq

    first, again, seq = backend.ask(question)

    assert first == again == ["before"]
    assert (seq, backend.ask(lambda now: now.revision().seq)) == (1, 2)
    assert backend.ask(keys) == ["behind", "before"]


def test_who_asks_for_the_revision_first_gets_one_that_holds_for_the_rest(
    backend: Any, elsewhere: Any
) -> None:
    elsewhere.commit(put("before"))

    def question(now: Snapshot) -> tuple[int, list[str]]:
        seq = now.revision().seq
        elsewhere.commit(put("behind"))
        return seq, keys(now)

    assert backend.ask(question) == (1, ["before"])


def test_a_question_that_asks_nothing_costs_nothing(backend: Any) -> None:
    assert backend.ask(lambda now: "nothing") == "nothing"
    assert backend.ask(keys) == []


def test_no_transaction_stays_open(backend: Any, postgres_admin: Any) -> None:
    pid = pid_of(backend)
    backend.ask(keys)

    def state() -> str:
        ((found,),) = postgres_admin.execute(
            "SELECT state FROM pg_stat_activity WHERE pid = %s", (pid,)
        ).fetchall()
        return found

    until(lambda: state() == "idle")


def test_whoever_uses_the_connection_otherwise_gets_it_when_all_is_over(backend: Any) -> None:
    pid = pid_of(backend)
    for _ in range(20):
        backend.ask(keys)
        connection = backend._line.take()
        try:
            assert connection.info.backend_pid == pid
            assert connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
            assert connection.execute("SELECT 1").fetchall() == [(1,)]
        finally:
            backend._line.give(connection)


def test_a_commit_right_behind_a_question_is_made_on_the_same_connection(backend: Any) -> None:
    pid = pid_of(backend)
    for number in range(20):
        backend.ask(keys)
        backend.commit(put(f"k{number}"))

    assert pid_of(backend) == pid
    assert backend.ask(lambda now: now.size(())) == 20


@pytest.mark.parametrize("wait", [True, False], ids=["noticed", "not noticed"])
@pytest.mark.parametrize("use", ["ask", "read", "item", "commit"])
def test_a_session_that_is_ended_behind_a_question_is_nothing_to_the_next(
    backend: Any, postgres_admin: Any, use: str, wait: bool
) -> None:
    backend.commit(put("k"))
    pid = pid_of(backend)
    backend.ask(keys)
    postgres_admin.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))
    if not wait:  # as if the answer to the end were still under way
        backend._line.pool._lives = lambda idle, *, parting: True

    match use:
        case "ask":
            assert backend.ask(keys) == ["k"]
        case "read":
            with backend.read() as now:
                assert keys(now) == ["k"]
        case "item":
            assert backend.item(ME, "k") is not None
        case _:
            backend.commit(put("l"))
    vars(backend._line.pool).pop("_lives", None)
    assert pid_of(backend) != pid


def test_a_question_that_fails_leaves_a_connection_that_can_be_used(backend: Any) -> None:
    pid = pid_of(backend)

    def refused(now: Any) -> None:
        now._ask_all([("seq_at", (b"not a time", 1))])

    for _ in range(3):
        with pytest.raises(StorageError):
            backend.ask(refused)
        with pytest.raises(ZeroDivisionError):
            backend.ask(lambda now: 1 / len(keys(now)))
    assert backend.ask(keys) == []
    assert pid_of(backend) == pid


def test_where_a_snapshot_costs_nothing_it_is_taken_as_ever() -> None:
    with closing(MemoryBackend()) as made:
        made.commit(put("k"))
        assert asked(made, keys) == ["k"]


def listed(reading: Any) -> None:
    with reading as now:
        keys(now)


WAYS: dict[str, Callable[[Any], object]] = {
    "read": lambda backend: listed(backend.read()),
    "promptly": lambda backend: listed(backend.read_promptly()),
    "asked": lambda backend: asked(backend, keys),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_signal_at_the_end_of_a_snapshot_does_not_cost_its_connection(
    backend: Any, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend.commit(put("k"))
    ended = PostgresSnapshot.end

    def interrupted(self: Any) -> None:
        monkeypatch.undo()
        ended(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(PostgresSnapshot, "end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        WAYS[way](backend)

    assert asked(backend, keys) == ["k"]


def test_an_end_that_comes_again_before_the_first_was_heard_leaves_a_connection_to_work_with(
    backend: Any,
) -> None:
    backend.commit(put("k"))
    connection = backend._line.take()
    rollback = backend._line.statements["rollback"].text
    for _ in range(2):
        talking.part(connection, rollback)
    assert talking.parted(connection, wait=True)
    assert talking.say(connection, b"SELECT 1::bigint") == [(1,)]
    backend._line.give(connection)

    assert asked(backend, keys) == ["k"]


def test_a_snapshot_of_one_round_trip_does_not_say_how_far_it_sees(backend: Any) -> None:
    with backend.read_promptly() as now:
        keys(now)
        with pytest.raises(Again):
            _ = now._prompt.decided


def test_a_snapshot_of_one_round_trip_that_is_over_answers_nothing_on_a_connection_of_others(
    backend: Any,
) -> None:
    with backend.read_promptly() as now:
        keys(now)
    with pytest.raises(StorageError, match="closed"):
        now._answers([])
