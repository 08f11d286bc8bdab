"""What other transactions have locked, and writers that do not come back: who touches something else goes on."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from callers import start
from perdure import clock
from perdure.errors import Busy, StaleThread
from perdure.storage.contract import (
    Commit,
    Filed,
    Forgettable,
    HeadIs,
    Outcome,
    PruneHistory,
    PutItem,
    RemoveThread,
    Revision,
    SubtreeIs,
)
from perdure.testing.backends import checkpoint_of
from perdure.testing.proxy import Proxy
from perdure.testing.raised import raised

pytest.importorskip("psycopg")

import psycopg

from perdure.storage.postgres import PostgresBackend, attempts, turns
from perdure.storage.postgres.gathering import PostgresGathering
from perdure.storage.postgres.locks import halves, key_of_all, keys_of
from perdure.storage.tables.rows import Prepared

MOMENT = 10.0  # seconds: what is not held up takes a hundredth of it, what is takes thirty


def put(space: str, key: str = "k", **rest: Any) -> Commit:
    return Commit(clock.uuid6().bytes, 1, items=[PutItem((space,), key, b"v")], **rest)


def step(n: int, thread: str = "t") -> Commit:
    before = f"{n - 1:04}" if n else None
    return Commit(
        clock.uuid6().bytes,
        1,
        heads=[HeadIs(thread, "", before)],
        checkpoints=[checkpoint_of(thread, f"{n:04}", before)],
    )


PRUNE = Commit(clock.uuid6().bytes, 1, removals=[PruneHistory(1, 9)])


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[..., PostgresBackend]]:
    """Each is as another process."""
    made: list[PostgresBackend] = []

    def one(**options: object) -> PostgresBackend:
        more = "".join(f"&{name}={value}" for name, value in options.items())
        made.append(PostgresBackend(postgres_url + more))
        made[-1].change_token()  # the first who asks writes down which server this is
        return made[-1]

    yield one
    for backend in made:
        backend.close()


class Holder:
    """A transaction of another program, which stands still."""

    def __init__(self, server: str, schema: str) -> None:
        self._connection = psycopg.connect(server)
        self._schema = schema

    def lock(self, *commits: Commit) -> None:
        """All that these commits touch."""
        for key in keys_of([Prepared(commit) for commit in commits], self._schema, ()) or ():
            self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))

    def adds_an_index(self) -> None:
        """As a commit that needs a number for a new way of indexing."""
        (key,) = keys_of((), self._schema, True) or ()
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (key,))

    def is_under_way(self) -> None:
        """As every commit is."""
        key = key_of_all(self._schema)
        self._connection.execute("SELECT pg_advisory_xact_lock_shared(%s)", (key,))

    def lock_table(self, name: str, mode: str) -> None:
        """All of it, as somebody who changes it does."""
        self._connection.execute(f"LOCK TABLE {self._schema}.{name} IN {mode} MODE")

    def ends(self) -> None:
        self._connection.rollback()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def holder(postgres_server: str, postgres_url: str) -> Iterator[Holder]:
    made = Holder(postgres_server, postgres_url.rpartition("=")[2])
    yield made
    made.close()


@pytest.fixture
def waits(postgres_admin: Any, postgres_url: str) -> Callable[[Commit], int]:
    """How many wait for what a commit touches, or to be alone."""

    def count(commit: Commit) -> int:
        schema = postgres_url.rpartition("=")[2]
        keys = keys_of([Prepared(commit)], schema, ()) or [key_of_all(schema)]
        found = 0
        for key in keys:
            rows = postgres_admin.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                " AND classid = %s::bigint::oid AND objid = %s::bigint::oid",
                halves(key),
            )
            found += rows.fetchone()[0]
        return found

    return count


def join(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


@contextmanager
def in_a_moment() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < MOMENT


def keys(backend: PostgresBackend) -> list[str]:
    with backend.read() as now:
        return [row.key for row in now.changes(None, 9999)]


# -- what another transaction has locked -------------------------------------------------------------------------------


def test_a_commit_does_not_wait_for_what_a_neighbour_s_has_to_wait_for(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    backend = opened()
    locked = put("tea", "locked")
    holder.lock(locked)
    found: list[Outcome] = []
    waiting = start(lambda: found.append(backend.commit(locked)))
    until(lambda: waits(locked))

    with in_a_moment():
        for n in range(5):
            backend.commit(put("jam", f"{n}"))
    assert found == []
    holder.ends()
    join(waiting)

    assert keys(backend) == ["0", "1", "2", "3", "4", "locked"]


def test_of_commits_made_together_only_those_fail_that_touch_what_stays_locked(
    opened: Callable[..., PostgresBackend], holder: Holder
) -> None:
    backend = opened(lock_timeout="800ms")
    told: dict[str, Outcome] = {}
    holder.lock(put("tea"))
    for space in ("jam", "tea", "rye"):
        backend._queue.enqueue(
            Prepared(put(space, space)), lambda outcome, space=space: told.update({space: outcome})
        )

    with in_a_moment():
        backend.commit(put("fig", "fig"))

    until(lambda: len(told) == 3)
    assert {space: type(outcome) for space, outcome in told.items()} == {
        "jam": Revision,
        "rye": Revision,
        "tea": Busy,
    }
    assert isinstance(told["tea"], Busy)
    assert told["tea"].written is False
    assert "lock_timeout" in str(told["tea"])
    assert sorted(keys(backend)) == ["fig", "jam", "rye"]


def test_of_one_caller_s_commits_all_are_made_that_touch_nothing_locked(
    opened: Callable[..., PostgresBackend], holder: Holder
) -> None:
    backend = opened(lock_timeout="300ms")
    holder.lock(put("tea"))

    outcomes = backend.commit_group([put("jam", "1"), put("tea", "2"), put("rye", "3"), put("jam", "4")])

    assert [type(outcome) for outcome in outcomes] == [Revision, Busy, Revision, Revision]
    assert keys(backend) == ["1", "3", "4"]


def test_commits_of_one_caller_keep_their_order_where_one_has_to_wait(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    backend = opened()
    locked = put("tea", "2")
    holder.lock(locked)
    found: list[Outcome] = []
    group = [put("jam", "1"), locked, put("rye", "3"), put("jam", "4")]
    waiting = start(lambda: found.extend(backend.commit_group(group)))
    until(lambda: waits(locked))
    holder.ends()
    join(waiting)

    assert all(isinstance(outcome, Revision) for outcome in found)
    assert keys(backend) == ["1", "2", "3", "4"]


def test_a_commit_stays_behind_one_of_its_group_that_waits_and_touches_the_same(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    backend = opened()
    told: list[Outcome] = []
    both = Commit(clock.uuid6().bytes, 1, items=[PutItem((space,), "1", b"v") for space in ("tea", "jam")])
    holder.lock(put("tea"))
    for commit in (both, put("jam", "2"), put("jam", "3")):
        backend._queue.enqueue(Prepared(commit), told.append)
    backend.commit(put("rye", "0"))
    until(lambda: waits(put("tea")))
    assert told == []
    holder.ends()
    until(lambda: len(told) == 3)

    assert [key for key in keys(backend) if key != "0"] == ["1", "1", "2", "3"]


def test_steps_of_one_thread_keep_their_order_while_it_is_locked(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    backend = opened()
    backend.commit(step(0))
    holder.lock(step(1))
    told: list[Outcome] = []
    backend.commit_soon(step(1), told.append)
    until(lambda: waits(step(1)))
    for n in range(2, 6):
        backend.commit_soon(step(n), told.append)

    with in_a_moment():
        for n in range(4):
            backend.commit(step(n, "another"))
    assert told == []
    holder.ends()
    until(lambda: len(told) == 5)

    seqs = [outcome.seq for outcome in told if isinstance(outcome, Revision)]
    assert len(seqs) == 5
    assert seqs == sorted(seqs)


def test_a_step_whose_thread_is_remembered_waits_and_is_made_once(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    backend = opened()
    for n in range(3):
        backend.commit(step(n))
    holder.lock(step(3))
    again = step(3)
    found: list[Outcome] = []
    waiting = start(lambda: found.append(backend.commit(again)))
    until(lambda: waits(again))
    holder.ends()
    join(waiting)

    with backend.read() as now:
        assert now.committed(again.id) == found[0]
        assert now.count("checkpoints") == 4
    raised(StaleThread, lambda: backend.commit(step(3)))
    backend.commit(step(4))


@pytest.mark.parametrize("connections", [1, 2, 10])
def test_more_commits_than_there_are_connections_wait_and_the_others_go_on(
    opened: Callable[..., PostgresBackend], holder: Holder, connections: int
) -> None:
    backend = opened(pool_max=connections)
    locked = [put(f"locked {n}", f"locked {n}") for n in range(20)]
    holder.lock(*locked)
    told: list[Outcome] = []
    for commit in locked:
        backend.commit_soon(commit, told.append)

    with in_a_moment():
        for n in range(10):
            backend.commit(put("free", f"free {n}"))
            assert backend.item(("free",), f"free {n}")
    assert told == []
    holder.ends()
    until(lambda: len(told) == 20)

    assert all(isinstance(outcome, Revision) for outcome in told)
    assert len(keys(backend)) == 30


def test_who_adds_a_new_way_of_indexing_waits_for_another_who_does_so_and_its_neighbours_do_not(
    opened: Callable[..., PostgresBackend], holder: Holder
) -> None:
    backend = opened()
    told: list[Outcome] = []
    filed = PutItem(("tea",), "tea", b"v", filed=Filed("words", {"leaf": 1}, 1))
    holder.adds_an_index()
    backend._queue.enqueue(Prepared(Commit(clock.uuid6().bytes, 1, items=[filed])), told.append)

    with in_a_moment():
        backend.commit(put("jam", "jam"))
    assert told == []
    holder.ends()
    until(lambda: told)

    assert sorted(keys(backend)) == ["jam", "tea"]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize(
    ("table", "mode"),
    [("perdure_items", "ACCESS EXCLUSIVE"), ("perdure_commits", "SHARE")],
    ids=["to read", "to write"],
)
def test_a_table_that_somebody_keeps_locked_is_waited_for_as_long_as_lock_timeout_says(
    opened: Callable[..., PostgresBackend], holder: Holder, count: int, table: str, mode: str
) -> None:
    backend = opened(lock_timeout="400ms")
    backend.commit(put("tea", "0"))
    holder.lock_table(table, mode)

    with in_a_moment():
        outcomes = backend.commit_group([put(f"s{n}", f"{n}") for n in range(count)])

    assert [type(outcome) for outcome in outcomes] == [Busy] * count
    holder.ends()
    assert keys(backend) == ["0"]
    backend.commit(put("tea", "1"))


# -- writers that do not come back ---------------------------------------------------------------------------------------


def test_a_thread_that_stands_still_in_its_transaction_holds_up_nobody_who_touches_something_else(
    opened: Callable[..., PostgresBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = opened()
    inside, go = threading.Event(), threading.Event()
    commit = PostgresGathering.commit

    def stands_still(group: PostgresGathering) -> None:
        if any(space == Prepared(put("tea")).items[0].item[0] for space, _ in group.known.items):
            inside.set()
            assert go.wait(60)
        commit(group)

    monkeypatch.setattr(PostgresGathering, "commit", stands_still)
    still = start(lambda: backend.commit(put("tea", "1")))
    assert inside.wait(20)
    behind = start(lambda: backend.commit(put("tea", "2")))

    with in_a_moment():
        for n in range(5):
            backend.commit(put("jam", f"jam {n}"))
    go.set()
    join([*still, *behind])

    assert keys(backend) == ["1", *(f"jam {n}" for n in range(5)), "2"]  # by their numbers


def test_a_server_that_answers_slowly_on_one_connection_holds_up_that_one(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two ways to the server one is cut off without a word: who takes the other goes on."""
    with Proxy.of(postgres_url) as proxy:
        backend = PostgresBackend(proxy.through(postgres_url))
        backend.commit(put("tea", "0"))
        place = backend._line.place
        proxy.hold("to client")
        still = start(lambda: backend.commit(put("tea", "1")))
        until(lambda: backend._queue._leading is not None)
        # What is opened from now on goes past the proxy.
        straight = PostgresBackend(postgres_url)
        monkeypatch.setattr(backend._line.pool, "place", straight._line.place)
        with in_a_moment():
            for n in range(5):
                backend.commit(put("jam", f"jam {n}"))
        proxy.forgive()
        join(still)
        assert len(keys(straight)) == 7
        backend._line.pool.place = place
        backend.close()
        straight.close()


# -- commits that are under way alone ------------------------------------------------------------------------------------

ALONE: dict[str, Callable[[], Commit]] = {
    "pruning": lambda: Commit(clock.uuid6().bytes, 1, removals=[PruneHistory(1, 9)]),
    "about a subtree": lambda: put("tea", "x", rests=[SubtreeIs(("nothing",), Forgettable())]),
    "very many names": lambda: Commit(
        clock.uuid6().bytes, 1, items=[PutItem((f"s{n}",), "k", b"v") for n in range(300)]
    ),
}


@pytest.mark.parametrize("kind", ALONE)
def test_who_wants_to_be_alone_holds_up_nobody_while_it_waits_for_a_long_transaction(
    opened: Callable[..., PostgresBackend], holder: Holder, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    one, other = opened(), opened()
    tried = threading.Event()
    again = turns.Turns.again

    def told(mine: turns.Turns) -> float | None:
        pause = again(mine)
        tried.set()
        return pause

    monkeypatch.setattr(turns.Turns, "again", told)
    holder.is_under_way()
    found: list[Outcome] = []
    waiting = start(lambda: found.append(one.commit(ALONE[kind]())))

    with in_a_moment():
        for n in range(10):
            other.commit(put("jam", f"{n}"))
            one.commit(put("rye", f"{n}"))
        assert tried.wait(20)
        for n in range(10, 20):
            other.commit(put("jam", f"{n}"))
            one.commit(put("rye", f"{n}"))
    assert found == []
    holder.ends()
    join(waiting)

    assert [type(outcome) for outcome in found] == [Revision]


def test_who_wants_to_be_alone_gives_up_after_lock_timeout(
    opened: Callable[..., PostgresBackend], holder: Holder
) -> None:
    backend = opened(lock_timeout="700ms")
    holder.is_under_way()

    with in_a_moment():
        error = raised(Busy, lambda: backend.commit(PRUNE))

    assert error.written is False
    assert "lock_timeout" in str(error)


def test_who_wants_to_be_alone_gets_its_turn_in_a_crowd(opened: Callable[..., PostgresBackend]) -> None:
    """There is always somebody under way."""
    crowd = [opened() for _ in range(3)]
    over = threading.Event()

    def write(n: int) -> None:
        while not over.is_set():
            crowd[n % 3].commit(put(f"s{n}"))

    writers = start(*(lambda n=n: write(n) for n in range(6)))
    try:
        with in_a_moment():
            for _ in range(5):
                crowd[0].commit(Commit(clock.uuid6().bytes, 1, removals=[PruneHistory(1, 9)]))
    finally:
        over.set()
        join(writers)


def test_holding_writers_off_holds_up_nobody_while_it_waits(
    opened: Callable[..., PostgresBackend], holder: Holder
) -> None:
    one, other = opened(), opened()
    holder.is_under_way()
    held = threading.Event()

    def hold() -> None:
        with one.hold(60):
            held.set()

    waiting = start(hold)

    with in_a_moment():
        for n in range(20):
            other.commit(put("jam", f"{n}"))
    assert not held.is_set()
    holder.ends()
    join(waiting)

    assert held.is_set()


def test_removing_a_thread_waits_for_that_thread_only(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    backend = opened()
    backend.commit(step(0))
    removing = Commit(clock.uuid6().bytes, 1, removals=[RemoveThread("t")])
    holder.lock(removing)
    waiting = start(lambda: backend.commit(removing))
    until(lambda: waits(removing))

    with in_a_moment():
        backend.commit(step(0, "another"))
    holder.ends()
    join(waiting)

    with backend.read() as now:
        assert now.count("checkpoints") == 1


def test_who_is_in_the_way_briefly_costs_no_second_transaction(
    opened: Callable[..., PostgresBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is given up within a moment is waited for in place."""
    backend = opened()
    seen: list[str | None] = []
    begin = PostgresGathering.begin

    def begins(group: PostgresGathering, members: Sequence[Prepared], limits: bytes | None, ids: Any) -> Any:
        seen.append(group._wait)
        return begin(group, members, limits, ids)

    monkeypatch.setattr(PostgresGathering, "begin", begins)
    for n in range(3):
        backend.commit_group([put("tea", f"{n}"), put("jam", f"{n}")])

    assert seen == [turns.in_milliseconds(attempts.BRIEF_SECONDS)] * 3


def test_a_signal_to_who_waits_for_a_locked_name_is_heard_though_the_lock_stays(
    opened: Callable[..., PostgresBackend], holder: Holder, waits: Callable[[Commit], int]
) -> None:
    """A step that was sent in one round trip: nobody can know what becomes of it, and nobody waits ten minutes to know."""
    backend = opened(lock_timeout="600s")
    for n in range(3):
        backend.commit(step(n))
    holder.lock(step(3))
    caller = threading.get_ident()

    def interrupt() -> None:
        until(lambda: waits(step(3)) == 1)
        signal.pthread_kill(caller, signal.SIGINT)

    other = threading.Thread(target=interrupt)
    other.start()
    with pytest.raises(KeyboardInterrupt):
        backend.commit(step(3))

    other.join()
    holder.ends()  # only now
    backend.commit(put("s"))
