"""Commits of one process: tried again where others were in the way, also across a fork, and when somebody presses Ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from perdure import clock
from perdure.errors import Busy, StorageError, Unavailable
from perdure.storage.contract import Commit, Filed, ItemIs, Outcome, PutItem, Revision, RunRow, SegmentRow
from perdure.testing.raised import raised

pytest.importorskip("psycopg")

import psycopg

from perdure.storage.postgres import PostgresBackend, attempts, open_backend
from perdure.storage.postgres.gathering import PostgresGathering
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.readings import patiently
from perdure.storage.tables.rows import Prepared

SPACE = ("s",)


def putting(key: str, value: bytes = b"v", **rest: object) -> Commit:
    return Commit(clock.uuid6().bytes, 1, items=[PutItem(SPACE, key, value)], **rest)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def backend(postgres_url: str) -> Iterator[PostgresBackend]:
    made = PostgresBackend(postgres_url)
    yield made
    made.close()


def failing(monkeypatch: pytest.MonkeyPatch, *errors: BaseException, after: bool = False) -> None:
    """The next commits fail so, before or after their end was told to the server."""
    left = list(errors)
    commit = PostgresGathering.commit

    def fails(group: PostgresGathering) -> None:
        if after:
            commit(group)
        if left:
            raise left.pop(0)
        if not after:
            commit(group)

    monkeypatch.setattr(PostgresGathering, "commit", fails)


def asked(backend: PostgresBackend, block: str) -> list[tuple[Any, ...]]:
    """What the database answers to a block."""
    line = backend._line  # pyright: ignore[reportPrivateUsage]
    return patiently(line, line.statements[block].text)


def keys(backend: PostgresBackend) -> list[str]:
    with backend.read() as now:
        return sorted(row.key for row in now.changes(None, 999))


@pytest.mark.parametrize("error", ["SerializationFailure", "DeadlockDetected"])
def test_who_collides_with_others_begins_again(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    failing(monkeypatch, *(getattr(psycopg.errors, error)("collided") for _ in range(3)))

    backend.commit(putting("a"))

    assert keys(backend) == ["a"]


def test_who_collides_for_ever_is_told(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PATIENCE_SECONDS", 0.1)
    failing(monkeypatch, *(psycopg.errors.DeadlockDetected("collided") for _ in range(99)))

    error = raised(Busy, lambda: backend.commit(putting("a")))

    assert error.written is False
    assert keys(backend) == []


def test_a_signal_before_the_end_leaves_nothing(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PostgresGathering, "begin", interrupted)

    with pytest.raises(KeyboardInterrupt):
        backend.commit(putting("a"))
    monkeypatch.undo()

    assert keys(backend) == []
    backend.commit(putting("b"))
    assert keys(backend) == ["b"]


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_signal_when_the_end_was_told_leaves_neighbours_committed_once(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leads gets the signal when the server has committed the group, and has not been heard."""
    failing(monkeypatch, KeyboardInterrupt(), after=True)
    told: list[Outcome] = []
    backend._queue.enqueue(Prepared(putting("theirs")), told.append)

    with pytest.raises(KeyboardInterrupt):
        backend.commit(putting("mine"))

    assert [type(outcome) for outcome in told] == [Revision]
    assert keys(backend) == ["mine", "theirs"]


def test_a_signal_when_the_end_was_heard_leaves_neighbours_committed_once(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who leads gets the signal when the group is committed, and before anybody is told."""
    give, left = Line.give, [KeyboardInterrupt()]

    def gives(line: Line, connection: Connection, *, sound: bool = True) -> None:
        give(line, connection, sound=sound)
        if left:
            raise left.pop()

    told: list[Outcome] = []
    backend._queue.enqueue(Prepared(putting("theirs")), told.append)
    monkeypatch.setattr(Line, "give", gives)

    with pytest.raises(KeyboardInterrupt):
        backend.commit(putting("mine"))

    assert [type(outcome) for outcome in told] == [Revision]
    assert keys(backend) == ["mine", "theirs"]
    backend.commit(putting("later"))
    assert keys(backend) == ["later", "mine", "theirs"]


def test_a_group_whose_outcome_is_unknown_is_not_begun_anew_by_its_members(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to COMMIT is lost, and whoever asks what became of it is not let in."""
    failing(monkeypatch, psycopg.OperationalError("the connection was lost"), after=True)
    begin, asked = PostgresGathering.begin, [StorageError("does not let this user in")]

    def begins(group: PostgresGathering, members: Any, limits: bytes | None, ids: Sequence[bytes]) -> Any:
        if ids and asked:
            raise asked.pop()
        return begin(group, members, limits, ids)

    monkeypatch.setattr(PostgresGathering, "begin", begins)

    outcomes = backend.commit_group([putting("a"), putting("b")])

    assert [outcome.written for outcome in outcomes if isinstance(outcome, Unavailable)] == [None, None]
    assert keys(backend) == ["a", "b"]


def test_two_signals_one_after_the_other_leave_each_neighbour_with_its_own_outcome(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three parts of a group, the second is committed when the first signal comes, and asked for when the second one does."""
    commit, begin = PostgresGathering.commit, PostgresGathering.begin
    commits: list[int] = []
    signals: list[int] = []

    def commits_and_fails(group: PostgresGathering) -> None:
        commit(group)
        commits.append(1)
        if len(commits) == 2:
            signals.append(1)
            raise KeyboardInterrupt

    def begins(group: PostgresGathering, *of: Any) -> Any:
        if len(signals) == 1:
            signals.append(1)
            raise KeyboardInterrupt
        return begin(group, *of)

    monkeypatch.setattr(PostgresGathering, "commit", commits_and_fails)
    monkeypatch.setattr(PostgresGathering, "begin", begins)
    told: dict[int, Outcome] = {}
    for n in range(3):
        puts = [PutItem(("many", str(n), str(m)), "k", b"v") for m in range(200)]
        member = Prepared(Commit(clock.uuid6().bytes, 1, items=puts))
        backend._queue.enqueue(member, lambda outcome, n=n: told.update({n: outcome}))

    with pytest.raises(KeyboardInterrupt):
        backend.commit(putting("mine"))

    assert [type(told[n]) for n in range(3)] == [Revision, Unavailable, Revision]
    assert told[1].written is None  # pyright: ignore[reportAttributeAccessIssue] - the second, which was committed
    assert len(keys(backend)) == 601


def test_a_signal_in_the_first_of_several_transactions_leaves_all_told(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group of too many names is made in parts; the signal comes when the first of them was committed."""
    failing(monkeypatch, KeyboardInterrupt(), after=True)
    told: list[Outcome] = []
    for n in range(3):
        puts = [PutItem(("many", str(n), str(m)), "k", b"v") for m in range(200)]
        backend._queue.enqueue(Prepared(Commit(clock.uuid6().bytes, 1, items=puts)), told.append)

    with pytest.raises(KeyboardInterrupt):
        backend.commit(putting("mine"))

    assert [type(outcome) for outcome in told] == [Revision] * 3
    assert len(keys(backend)) == 601


def test_two_writers_of_one_place_of_a_log_are_a_bug_and_say_so(backend: PostgresBackend) -> None:
    segment = SegmentRow("t", 1, 0, 1, 0, b"x")
    backend.commit(Commit(clock.uuid6().bytes, 1, segments=[segment]))

    error = raised(StorageError, lambda: backend.commit(Commit(clock.uuid6().bytes, 1, segments=[segment])))

    assert type(error) is StorageError
    assert "two writers of one log" in str(error)


def test_many_new_names_at_once_get_numbers(backend: PostgresBackend) -> None:
    runs = [RunRow(f"thread {n}", "r", 1, b"") for n in range(150)]
    items = [PutItem((f"space {n}",), "k", b"v") for n in range(100)]

    backend.commit(Commit(clock.uuid6().bytes, 1, runs=runs, items=items))

    with backend.read() as now:
        assert all(now.run(f"thread {n}", "r") for n in range(150))
        assert len(now.namespaces(())) == 100


def test_a_commit_may_write_new_items_twice_also_when_its_like_came_before(backend: PostgresBackend) -> None:
    for n in range(
        4
    ):  # from the second on one statement could do all of it, and would see none of its own rows
        puts = [PutItem(SPACE, f"k{n}", value) for value in (b"1", b"2")]
        backend.commit(Commit(clock.uuid6().bytes, 1, items=puts))

    with backend.read() as now:
        assert [(row.key, row.value) for row in now.items(SPACE, None, 9)] == [
            (f"k{n}", b"2") for n in (3, 2, 1, 0)
        ]
        for n in range(4):
            newest, oldest = now.history(SPACE, f"k{n}", 9).versions
            assert (newest.value, oldest.value) == (b"2", b"1")
        assert now.disagreements() == []


def test_a_commit_may_write_an_item_twice_that_is_there(backend: PostgresBackend) -> None:
    backend.commit(putting("k", b"0"))
    for n in range(1, 5):
        puts = [PutItem(SPACE, "k", b"%d" % (2 * n + more)) for more in (0, 1)]
        backend.commit(Commit(clock.uuid6().bytes, 1, items=puts))

    with backend.read() as now:
        versions = now.history(SPACE, "k", 99).versions
        assert [row.value for row in versions] == [b"%d" % n for n in (9, 8, 7, 6, 5, 4, 3, 2, 0)]
        ((around,),) = now.around([(SPACE, (0, 0))], 9)  # of those that are not ended
        assert around[1].value == b"9"
        assert now.disagreements() == []


def test_new_indexes_of_one_commit_have_numbers_in_a_row(backend: PostgresBackend) -> None:
    filed = [Filed(name, {"tea": 1}, 1) for name in ("one", "two", "three")]
    puts = [PutItem(SPACE, f.analysis, b"v", filed=f) for f in filed]
    backend.commit(Commit(clock.uuid6().bytes, 1, items=puts))

    with backend.read() as now:
        assert [len(now.postings(SPACE, name, "tea")) for name in ("one", "two", "three")] == [1, 1, 1]
    # There are 255 at most, so none may be skipped.
    assert asked(backend, "greatest_index") == [(3,)]


def test_counters_of_many_backends_lose_nothing(postgres_url: str) -> None:
    """Items of one namespace, counted up by compare and set from several processes' worth of backends."""
    backends = [PostgresBackend(postgres_url) for _ in range(4)]
    failures: list[BaseException] = []

    def count(backend: PostgresBackend) -> None:
        try:
            for _ in range(10):
                while True:
                    row = backend.item(SPACE, "n")
                    wanted = [ItemIs(SPACE, "n", None if row is None else row.version)]
                    number = 0 if row is None else int(row.value or b"")
                    outcome = backend.commit_group([putting("n", b"%d" % (number + 1), versions=wanted)])[0]
                    if isinstance(outcome, Revision):
                        break
        except BaseException as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=count, args=(backend,)) for backend in backends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    row = backends[0].item(SPACE, "n")
    assert row is not None
    assert row.value == b"40"
    for backend in backends:
        backend.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_writes_with_connections_and_numbers_of_its_own(backend: PostgresBackend) -> None:
    backend.commit(putting("before"))

    child = os.fork()
    if child == 0:
        status = 1
        try:
            for n in range(40):
                backend.commit(Commit(clock.uuid6().bytes, 1, items=[PutItem(("child", str(n)), "k", b"v")]))
            status = 0
        finally:
            os._exit(status)
    for n in range(40):
        backend.commit(Commit(clock.uuid6().bytes, 1, items=[PutItem(("parent", str(n)), "k", b"v")]))
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    with backend.read() as now:
        assert (len(now.namespaces(("child",))), len(now.namespaces(("parent",)))) == (40, 40)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_fork_while_others_look_how_far_they_see_leaves_a_child_that_can(backend: PostgresBackend) -> None:
    backend.commit(putting("before"))
    held, goes_on = threading.Event(), threading.Event()

    def look() -> None:
        with backend._line.horizon._lock:
            held.set()
            goes_on.wait(60)

    thread = threading.Thread(target=look)
    thread.start()
    held.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # who waits for ever is ended
        status = 1
        try:
            status = 0 if keys(backend) == ["before"] else 1
        finally:
            os._exit(status)
    goes_on.set()
    thread.join()
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0


def test_a_backend_that_its_last_user_closes_is_not_given_to_another_who_opens_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_backend(postgres_url)
    close = PostgresBackend.close

    def closes(backend: PostgresBackend) -> None:
        close(backend)
        if backend is not first and not first.closed:
            close(first)  # by another thread, at the worst moment

    monkeypatch.setattr(PostgresBackend, "close", closes)

    second = open_backend(postgres_url)

    assert not second.closed
    second.commit(putting("a"))
    close(second)


def test_one_database_has_one_backend_however_it_is_spelt(
    postgres_url: str, postgres_urls: Callable[[], str]
) -> None:
    one, same, other = (
        open_backend(url) for url in (postgres_url, f"{postgres_url}&application_name=me", postgres_urls())
    )

    assert one is same
    assert one is not other
    same.close()
    assert not one.closed
    one.close()
    assert one.closed
    other.close()
