"""Revisions on Postgres: exact, monotone, each change once and in order, while commits end in another order than they began."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from perdure import clock
from perdure.errors import StaleThread, Unavailable
from perdure.storage.contract import Commit, HeadIs, ItemRow, PutItem, Revision
from perdure.testing.backends import checkpoint_of

pytest.importorskip("psycopg")

from perdure.storage.postgres import PostgresBackend, readings
from perdure.storage.postgres.gathering import PostgresGathering
from perdure.storage.postgres.line import JUMP

SPACE = ("counters",)
NOW = 1_700_000_000_000_000


def putting(*values: tuple[str, int], **rest: Any) -> Commit:
    items = [PutItem(SPACE, key, b"%d" % value) for key, value in values]
    return Commit(clock.uuid6().bytes, NOW, items=items, **rest)


def values_of(rows: list[ItemRow]) -> dict[str, int]:
    return {row.key: int(row.value or b"-1") for row in rows}


@pytest.fixture
def opened(postgres_url: str) -> Iterator[Callable[[], PostgresBackend]]:
    """Each call opens the same database once more: as another process would, with what it knows of its own."""
    made: list[PostgresBackend] = []

    def one() -> PostgresBackend:
        made.append(PostgresBackend(postgres_url))
        return made[-1]

    yield one
    for backend in made:
        backend.close()


class Gate:
    """Holds commits of some threads between their number and their end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits: dict[int, Callable[[], object]] = {}  # by thread
        commit = PostgresGathering.commit

        def held(group: PostgresGathering) -> None:
            self.waits.get(threading.get_ident(), bool)()
            commit(group)

        monkeypatch.setattr(PostgresGathering, "commit", held)

    @contextmanager
    def stalled(self, backend: PostgresBackend, commit: Commit) -> Iterator[threading.Event]:
        """While the block runs, the commit has its number and is not made; it is made once the event is set."""
        has_number, goes_on = threading.Event(), threading.Event()

        def stall() -> None:
            has_number.set()
            assert goes_on.wait(60)

        def work() -> None:
            self.waits[threading.get_ident()] = stall
            backend.commit(commit)

        thread = threading.Thread(target=work)
        thread.start()
        assert has_number.wait(60)
        try:
            yield goes_on
        finally:
            goes_on.set()
            thread.join()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


# ---- one commit under way


def test_nothing_is_told_beyond_a_commit_that_is_under_way(
    opened: Callable[[], PostgresBackend], gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readings, "SETTLE_SECONDS", 0.1)
    slow, quick, watcher = opened(), opened(), opened()
    first = quick.commit(putting(("a", 1)))

    with gate.stalled(slow, putting(("b", 1))) as goes_on:
        later = quick.commit(Commit(clock.uuid6().bytes, NOW, items=[PutItem(("other",), "c", b"1")]))

        with watcher.read() as now:
            assert now.revision() == first
            assert [row.key for row in now.changes(None, 99)] == ["a"]
            assert now.revision_at(NOW) == first
            assert now.item(("other",), "c") is not None  # it is there, and not yet in order
        with watcher.read() as now, pytest.raises(Unavailable, match="still under way"):
            now.items_at((), later, None, 99)
        goes_on.set()

    with watcher.read() as now:
        assert now.revision() == later
        assert [row.key for row in now.changes(first, 99)] == ["b", "c"]
        assert [row.key for row in now.items_at((), later, None, 99)] == ["c", "b", "a"]


def test_readers_that_hold_all_connections_of_their_process_do_not_wait_for_each_other(
    postgres_url: str, opened: Callable[[], PostgresBackend], gate: Gate
) -> None:
    """Each has asked already, so its moment cannot be moved, and what became of earlier commits is asked beside it."""
    slow, quick = opened(), opened()
    few = PostgresBackend(f"{postgres_url}&pool_max=2&pool_timeout=2")
    quick.commit(putting(("a", 1)))
    have_asked = threading.Barrier(2)

    def look() -> int:
        with few.read() as now:
            assert now.item(("other",), "c") is not None
            have_asked.wait(60)
            return now.revision().seq

    with gate.stalled(slow, putting(("b", 1))) as goes_on, ThreadPoolExecutor(2) as threads:
        later = quick.commit(Commit(clock.uuid6().bytes, NOW, items=[PutItem(("other",), "c", b"1")]))
        looks = [threads.submit(look) for _ in range(2)]
        threading.Timer(0.2, goes_on.set).start()
        found = [one.result() for one in looks]

    few.close()
    assert (
        found == [later.seq - 2] * 2 or found == [later.seq - 1] * 2
    )  # without what their moment does not see


def test_a_reader_waits_for_what_was_under_way_and_then_sees_all(
    opened: Callable[[], PostgresBackend], gate: Gate
) -> None:
    slow, quick, watcher = opened(), opened(), opened()
    quick.commit(putting(("a", 1)))

    with gate.stalled(slow, putting(("b", 1))) as goes_on:
        later = quick.commit(Commit(clock.uuid6().bytes, NOW, items=[PutItem(("other",), "c", b"1")]))
        threading.Timer(0.2, goes_on.set).start()

        with watcher.read() as now:
            assert now.revision() == later
            assert [row.key for row in now.changes(None, 99)] == ["a", "b", "c"]


def test_a_number_that_nobody_used_holds_nobody_up(opened: Callable[[], PostgresBackend]) -> None:
    one, other = opened(), opened()
    one.commit(putting(("a", 1)))
    for _ in range(3):
        with pytest.raises(StaleThread):
            one.commit(putting(("b", 1), heads=[HeadIs("t", "", "nowhere")]))
    last = one.commit(putting(("c", 1)))

    for backend in (one, other):
        with backend.read() as now:
            assert now.revision() == last
            assert [row.key for row in now.changes(None, 99)] == ["a", "c"]


def test_a_commit_whose_connection_was_ended_holds_nobody_up_and_is_made_again(
    opened: Callable[[], PostgresBackend], gate: Gate, postgres_admin: Any
) -> None:
    slow, quick, watcher = opened(), opened(), opened()

    with gate.stalled(slow, putting(("b", 1))) as goes_on:
        later = quick.commit(Commit(clock.uuid6().bytes, NOW, items=[PutItem(("other",), "c", b"1")]))
        its = [connection.info.backend_pid for connection in slow._line.pool._mine]
        ended = postgres_admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND pid = ANY(%s)",
            (its,),
        ).fetchall()
        assert ended == [(True,)]

        with watcher.read() as now:
            assert now.revision() == later
        goes_on.set()

    with watcher.read() as now:
        assert [row.key for row in now.changes(None, 99)] == ["c", "b"]


def test_commits_of_very_many_names_come_one_after_the_other(opened: Callable[[], PostgresBackend]) -> None:
    backends = [opened() for _ in range(3)]

    def write(backend: PostgresBackend) -> None:
        for n in range(4):
            puts = [PutItem((f"space {n}", str(m)), "k", b"1") for m in range(300)]
            backend.commit(Commit(clock.uuid6().bytes, NOW, items=puts))
            backend.commit(putting(("a", n)))

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, backends))

    with opened().read() as now:
        assert len(now.namespaces(())) == 4 * 300 + 1
        rows = now.changes(None, 1 << 20)
        assert len(rows) == 3 * 4 * 301
        assert now.size(()) == 4 * 300 + 1


def test_a_moment_that_was_looked_at_already_is_told_apart_from_what_came_since(
    opened: Callable[[], PostgresBackend], gate: Gate
) -> None:
    slow, quick, watcher = opened(), opened(), opened()
    first = quick.commit(putting(("a", 1)))
    with pytest.raises(StaleThread):
        quick.commit(putting(("never", 1), heads=[HeadIs("t", "", "nowhere")]))
    second = quick.commit(putting(("a", 2)))

    with gate.stalled(slow, putting(("b", 1))) as goes_on:
        third = quick.commit(Commit(clock.uuid6().bytes, NOW, items=[PutItem(("other",), "c", b"1")]))
        with watcher.read() as now:
            assert now.item(SPACE, "b") is None
            goes_on.set()

            assert now.revision() == second
            assert [row.key for row in now.changes(first, 99)] == ["a"]
            assert values_of(now.items_at(SPACE, second, None, 99)) == {"a": 2}
            with pytest.raises(Unavailable, match="still under way"):
                now.items_at((), third, None, 99)


# ---- many


def test_everything_is_seen_once_and_in_order_while_many_commit_out_of_order(
    opened: Callable[[], PostgresBackend], gate: Gate
) -> None:
    """16 writers that end in any order, some in vain; watchers that stop and resume; views that must never change."""
    seed = random.randrange(1 << 30)
    writers, rounds, keys = 16, 12, 5
    done = threading.Event()
    failures: list[BaseException] = []
    made: list[Revision] = []

    def guarded(work: Callable[[random.Random], None], number: int) -> threading.Thread:
        def run() -> None:
            try:
                work(random.Random(seed + number))
            except BaseException as error:  # noqa: BLE001 - told by the main thread
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(dice: random.Random) -> None:
        backend = opened()
        gate.waits[threading.get_ident()] = lambda: time.sleep(dice.choice((0, 0, 0.001, 0.01)))
        for n in range(rounds):
            chosen = dice.sample([f"key {n}" for n in range(keys)], 2)
            if dice.random() < 0.2:
                with pytest.raises(StaleThread):
                    backend.commit(putting(("never", n), heads=[HeadIs("t", "", "nowhere")]))
            # Each key in a namespace of its own, so that commits that share none run side by side.
            puts = [PutItem((*SPACE, key), key, b"%d" % dice.randrange(1 << 30)) for key in chosen]
            made.append(backend.commit(Commit(clock.uuid6().bytes, NOW, items=puts)))

    seen: dict[int, list[tuple[str, int, int]]] = {}

    def watch(dice: random.Random) -> None:
        backend, cursor, found = opened(), None, seen.setdefault(threading.get_ident(), [])
        while True:
            last = done.is_set()
            with backend.read() as now:
                newest = now.revision()
                rows = now.changes(cursor, dice.randint(1, 9))
            found += [(row.key, row.version, row.revision.seq) for row in rows]
            assert all(row.revision <= newest for row in rows)
            if rows:
                cursor = rows[-1].revision
            elif last:
                return
            if dice.random() < 0.1:
                backend = opened()  # as after a crash: only the cursor is left
            time.sleep(dice.choice((0, 0.002)))

    views: list[tuple[Revision, dict[str, int]]] = []

    def look(dice: random.Random) -> None:
        backend, before = opened(), Revision(0, 0)
        while not done.is_set():
            with backend.read() as now:
                then = now.revision()
                assert then >= before
                views.append((then, values_of(now.items_at(SPACE, then, None, 99))))
            before = then
            time.sleep(dice.choice((0, 0.005)))

    at_work = [guarded(write, number) for number in range(writers)]
    watching = [guarded(watch, 100 + number) for number in range(3)] + [guarded(look, 200)]
    for thread in at_work:
        thread.join()
    done.set()
    for thread in watching:
        thread.join()
    assert not failures, (seed, failures)

    with opened().read() as now:
        history = [(row.key, row.version, row.revision.seq) for row in now.changes(None, 1 << 20)]
        assert len(history) == 2 * writers * rounds
        assert [version for _, version, _ in history] == sorted(version for _, version, _ in history)
        assert sorted({seq for _, _, seq in history}) == sorted(revision.seq for revision in made)
        assert len(seen) == 3
        for found in seen.values():
            assert found == history, seed
        for then, values in views:
            assert values_of(now.items_at(SPACE, then, None, 99)) == values, (seed, then)
        for key in {key for key, _, _ in history}:
            versions = [row.version for row in now.history((*SPACE, key), key, 999).versions]
            assert versions == [version for other, version, _ in reversed(history) if other == key]
    assert len({then for then, _ in views}) > 5
    assert [seq.seq for seq in made] != sorted(seq.seq for seq in made), (
        "they ended in order: nothing was tried"
    )


# ---- databases that were restored


def test_revisions_from_before_a_restore_are_nobody_s_after_it(
    opened: Callable[[], PostgresBackend], postgres_url: str, postgres_admin: Any
) -> None:
    before = opened()
    kept = before.commit(putting(("a", 1)))
    lost = [before.commit(putting(("b", n))) for n in range(5)]
    before.close()
    schema = postgres_url.partition("schema=")[2]
    for table, column in (("commits", "seq"), ("versions", "version >> 20"), ("items", "version >> 20")):
        postgres_admin.execute(f"DELETE FROM {schema}.perdure_{table} WHERE {column} > {kept.seq}")  # noqa: S608 - names of ours
    postgres_admin.execute(f"SELECT setval('{schema}.perdure_seq', {kept.seq})")
    postgres_admin.execute(f"UPDATE {schema}.perdure_origin SET cluster = 'elsewhere'")  # noqa: S608 - names of ours

    after = opened()
    new = after.commit(putting(("c", 1)))

    assert new.seq > kept.seq + JUMP
    with after.read() as now:
        assert now.revision() == new
        assert [row.key for row in now.changes(lost[-1], 99)] == [
            "c"
        ]  # a watch that had seen what is lost misses nothing
        assert values_of(now.items_at(SPACE, lost[-1], None, 99)) == {"a": 1}
    once_more = opened()
    assert once_more.commit(putting(("d", 1))).seq == new.seq + 1


def test_a_thread_s_checkpoints_and_memory_have_one_order(opened: Callable[[], PostgresBackend]) -> None:
    """Two backends that extend one thread: who is second is told, and revisions follow the thread."""
    backends = [opened() for _ in range(4)]
    tries: list[Revision] = []

    def extend(backend: PostgresBackend) -> None:
        for _ in range(10):
            while True:
                with backend.read() as now:
                    head = now.head("t", "")
                new = f"{int(head or '0') + 1:06}"
                try:
                    row = checkpoint_of("t", new, head)
                    tries.append(
                        backend.commit(
                            putting(("n", int(new)), heads=[HeadIs("t", "", head)], checkpoints=[row])
                        )
                    )
                    break
                except StaleThread:
                    continue

    with ThreadPoolExecutor() as pool:
        list(pool.map(extend, backends))

    with backends[0].read() as now:
        rows = now.checkpoints("t", "", None, None)
        assert [row.id for row in rows] == [f"{n:06}" for n in range(40, 0, -1)]
        assert [row.revision for row in rows] == sorted(tries, reverse=True)
        assert [int(row.value or b"") for row in now.history(SPACE, "n", 99).versions] == list(
            range(40, 0, -1)
        )
