"""The pool: bounded, fair, of living connections; errors say what was wrong and what to do."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

from perdure.errors import Busy, StorageError, Unavailable
from perdure.storage.postgres import connections
from perdure.storage.postgres.connections import Connection, Pool, place_of
from perdure.storage.postgres.faults import is_lost, is_read_only, is_transient, translated
from perdure.testing.proxy import Proxy

MakePool = Callable[..., Pool]


@pytest.fixture
def pool_of(postgres_url: str) -> Iterator[MakePool]:
    made: list[Pool] = []

    def make(options: str = "", url: str = postgres_url) -> Pool:
        made.append(Pool(place_of(f"{url}{options}")))
        return made[-1]

    yield make
    for pool in made:
        pool.close()
        assert len(pool) == 0, "a test kept a connection"


def pid(connection: Connection) -> int:
    return connection.info.backend_pid


def one(connection: Connection, sql: str) -> Any:
    row = connection.execute(sql).fetchone()
    assert row is not None
    return row[0]


def until(met: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def end_session(admin: Any, number: int) -> None:
    """The server ends the session, as an operator does, and it is gone."""
    admin.execute("SELECT pg_terminate_backend(%s)", (number,))
    until(lambda: not admin.execute("SELECT 1 FROM pg_stat_activity WHERE pid = %s", (number,)).fetchone())


# -- what a connection is like -------------------------------------------------------------------------------------------


def test_a_connection_commits_each_statement_and_knows_its_limits(pool_of: MakePool) -> None:
    pool = pool_of("&statement_timeout=7s&options=-c%20work_mem%3D1MB")

    connection = pool.take()

    assert connection.autocommit
    assert connection.execute("SELECT $1::int + $2::int", (1, 2)).fetchone() == (3,)
    shown = {name: one(connection, f"SHOW {name}") for name in
             ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "application_name",
              "work_mem", "client_encoding")}  # fmt: skip
    assert shown == {
        "statement_timeout": "7s",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "30s",
        "application_name": "perdure",
        "work_mem": "1MB",
        "client_encoding": "UTF8",
    }
    assert (pool.pooled, pool.settle) == (False, None)
    pool.give(connection)


def test_the_one_used_last_is_used_again_and_none_is_opened_too_many(pool_of: MakePool) -> None:
    pool = pool_of()

    numbers = set[int]()
    for _ in range(20):
        connection = pool.take()
        numbers.add(pid(connection))
        pool.give(connection)

    assert len(numbers) == len(pool) == 1


def test_a_transaction_left_open_is_rolled_back_and_not_given_to_the_next(pool_of: MakePool) -> None:
    pool = pool_of()
    left = pool.take()
    left.execute("BEGIN")

    pool.give(left)

    assert left.closed
    assert len(pool) == 0
    pool.give(pool.take())


# -- how many ------------------------------------------------------------------------------------------------------------


def test_when_all_are_in_use_the_error_names_the_settings(pool_of: MakePool) -> None:
    pool = pool_of("&pool_max=2&pool_timeout=0.05")
    held = [pool.take(), pool.take()]

    with pytest.raises(
        Unavailable, match=r"all 2 connections .*pool_max=2.*pool_timeout=0.05.*Raise pool_max="
    ):
        pool.take()

    for connection in held:
        pool.give(connection)
    pool.give(pool.take())


def test_whoever_waits_longest_is_served_first(pool_of: MakePool) -> None:
    pool = pool_of("&pool_max=1")
    served: list[int] = []

    def wait(number: int) -> None:
        connection = pool.take()
        served.append(number)
        pool.give(connection)

    held = pool.take()
    threads: list[threading.Thread] = []
    for number in range(6):
        threads.append(threading.Thread(target=wait, args=(number,)))
        threads[-1].start()
        until(lambda number=number: f"{number + 1} waiting" in repr(pool))
    pool.give(held)
    for thread in threads:
        thread.join()

    assert served == [0, 1, 2, 3, 4, 5]


def test_who_waits_may_open_one_when_an_unsound_one_is_closed(pool_of: MakePool) -> None:
    pool = pool_of("&pool_max=1")
    held = pool.take()
    got: list[Connection] = []
    waiter = threading.Thread(target=lambda: got.append(pool.take()))
    waiter.start()
    until(lambda: "1 waiting" in repr(pool))

    pool.give(held, sound=False)
    waiter.join()

    assert held.closed
    assert got[0] is not held
    pool.give(got[0])


def test_many_threads_share_few_connections(pool_of: MakePool) -> None:
    pool = pool_of("&pool_max=3")
    most, using, guard = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal most, using
        for _ in range(20):
            connection = pool.take()
            with guard:
                using += 1
                most = max(most, using)
            assert one(connection, "SELECT 7") == 7
            with guard:
                using -= 1
            pool.give(connection)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == len(pool) == 3


def test_idle_ones_are_closed_down_to_the_least_and_no_thread_stays(pool_of: MakePool) -> None:
    pool = pool_of("&pool_min=1&pool_idle=0.1&pool_max=4")
    held = [pool.take() for _ in range(4)]
    for connection in held:
        pool.give(connection)

    until(lambda: len(pool) == 1)

    assert sum(not connection.closed for connection in held) == 1
    until(lambda: not any(thread.name == "perdure-pool" for thread in threading.enumerate()))


def test_after_close_nothing_is_given_and_who_waits_is_told(pool_of: MakePool) -> None:
    pool = pool_of("&pool_max=1")
    held = pool.take()
    told: list[BaseException] = []

    def wait() -> None:
        try:
            pool.take()
        except StorageError as error:
            told.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: "1 waiting" in repr(pool))
    pool.close()
    waiter.join(5)

    assert "is closed" in str(told[0])
    with pytest.raises(StorageError, match="is closed"):
        pool.take()
    assert not held.closed
    pool.give(held)
    assert held.closed


# -- the dead ------------------------------------------------------------------------------------------------------------


def test_one_that_died_while_idle_is_replaced_unnoticed(pool_of: MakePool, postgres_admin: Any) -> None:
    pool = pool_of()
    first = pool.take()
    pool.give(first)
    end_session(postgres_admin, pid(first))

    second = pool.take()

    assert pid(second) != pid(first)
    assert one(second, "SELECT 1") == 1
    assert len(pool) == 1
    pool.give(second)


def test_one_that_idled_long_is_asked_first(
    pool_of: MakePool, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Proxy.of(postgres_url) as proxy:
        behind = pool_of(url=proxy.through(postgres_url))
        connection = behind.take()
        behind.give(connection)
        asked = proxy.passed("to server")

        behind.give(behind.take())
        assert proxy.passed("to server") == asked

        monkeypatch.setattr(connections, "CHECK_AFTER", 0.0)
        time.sleep(0.001)
        behind.give(behind.take())
        assert proxy.passed("to server") > asked
        behind.close()


def test_after_one_broke_the_others_are_asked_whether_they_live(pool_of: MakePool, postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        behind = pool_of(url=proxy.through(postgres_url))
        held = [behind.take() for _ in range(3)]
        for connection in held[1:]:
            behind.give(connection)

        behind.give(held[0], sound=False)
        until(lambda: proxy.connections == 2)
        before = proxy.passed("to server")
        again = behind.take()

        assert again in held[1:]
        assert proxy.passed("to server") > before
        behind.give(again)
        behind.close()


def test_a_server_that_is_away_for_a_while_is_waited_for(pool_of: MakePool, postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        behind = pool_of("&pool_timeout=20", url=proxy.through(postgres_url))
        behind.give(behind.take())
        proxy.refuse()
        proxy.kill()
        tried = proxy.accepted
        got: list[Connection] = []
        waiter = threading.Thread(target=lambda: got.append(behind.take()))
        waiter.start()
        until(lambda: proxy.accepted >= tried + 2)

        proxy.forgive()
        waiter.join(20)

        assert one(got[0], "SELECT 1") == 1
        behind.give(got[0])
        behind.close()


def test_a_server_that_never_answered_is_not_waited_for(pool_of: MakePool, postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        proxy.refuse()
        pool = pool_of(url=proxy.through(postgres_url))

        with pytest.raises(Unavailable, match=r"postgresql://.* does not answer .*Nothing was written"):
            pool.take()

        assert proxy.accepted == 1
        assert len(pool) == 0


def test_renewed_a_pool_gives_nobody_an_old_connection(pool_of: MakePool) -> None:
    pool = pool_of()
    used, idle = pool.take(), pool.take()
    pool.give(idle)

    pool.renew()
    pool.give(used)
    fresh = pool.take()

    assert idle.closed
    assert used.closed
    assert fresh not in (used, idle)
    pool.give(fresh)


# -- refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("postgres@", "nobody_of_that_name:hunter2@"), "does not let this user in"),
        (("/postgres?", "/no_such_database?"), "does not exist .*Create the database first"),
        (("?", "?sslmode=require&"), "the encryption that was asked for .*sslmode="),
        (("?", "?options=-c%20no_such_setting%3D1&"), "refused .*no_such_setting"),
    ],
)
def test_a_refusal_says_why(pool_of: MakePool, postgres_url: str, change: tuple[str, str], said: str) -> None:
    if "PERDURE_TEST_POSTGRES" in os.environ:
        pytest.skip("another server refuses other things")
    pool = pool_of(url=postgres_url.replace(*change, 1))

    with pytest.raises(StorageError, match=said) as caught:
        pool.take()

    assert type(caught.value) is StorageError
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__!r} {pool!r}"


def raised(act: Callable[[], object]) -> psycopg.Error:
    with pytest.raises(psycopg.Error) as caught:
        act()
    return caught.value


def test_a_statement_that_takes_too_long_names_its_limit(pool_of: MakePool) -> None:
    pool = pool_of("&statement_timeout=20ms")
    connection = pool.take()

    error = raised(lambda: connection.execute("SELECT pg_sleep(5)"))

    ours = translated(error, "read", pool.place.name)
    assert isinstance(ours, Unavailable)
    assert "statement_timeout= in the URL" in str(ours)
    assert (is_lost(error), is_transient(error)) == (False, False)
    pool.give(connection)


def test_a_lock_that_is_held_too_long_is_busy(pool_of: MakePool) -> None:
    pool = pool_of("&lock_timeout=20")
    first, second = pool.take(), pool.take()
    first.execute("BEGIN")
    first.execute("SELECT pg_advisory_xact_lock(77)")
    second.execute("BEGIN")

    error = raised(lambda: second.execute("SELECT pg_advisory_xact_lock(77)"))

    ours = translated(error, "commit", pool.place.name)
    assert isinstance(ours, Busy)
    assert ours.written is False
    assert "lock_timeout= in the URL" in str(ours)
    for connection in (first, second):
        connection.execute("ROLLBACK")
        pool.give(connection)


def test_a_deadlock_and_a_racing_row_are_worth_another_try(pool_of: MakePool) -> None:
    pool = pool_of()
    connection = pool.take()
    connection.execute("CREATE TEMP TABLE t (n int PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1)")

    error = raised(lambda: connection.execute("INSERT INTO t VALUES (1)"))
    assert (is_transient(error), is_lost(error)) == (True, False)

    a, b = pool.take(), pool.take()
    for one_, mine in ((a, 1), (b, 2)):
        one_.execute("BEGIN")
        one_.execute("SELECT pg_advisory_xact_lock($1)", (mine,))
    errors: list[psycopg.Error] = []

    def lock(which: Connection, number: int) -> None:
        try:
            which.execute("SELECT pg_advisory_xact_lock($1)", (number,))
        except psycopg.Error as error:
            errors.append(error)

    threads = [threading.Thread(target=lock, args=pair) for pair in ((a, 2), (b, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [is_transient(error) for error in errors] == [True]
    for one_ in (connection, a, b):
        pool.give(one_)


def test_a_read_only_session_is_known_as_one(pool_of: MakePool) -> None:
    pool = pool_of("&options=-c%20default_transaction_read_only%3Don")
    connection = pool.take()

    error = raised(lambda: connection.execute("CREATE SCHEMA never"))

    assert is_read_only(error)
    assert "target_session_attrs=read-write" in str(translated(error, "commit", pool.place.name))
    pool.give(connection)


def test_a_session_that_the_server_ends_is_lost(pool_of: MakePool, postgres_admin: Any) -> None:
    pool = pool_of()
    connection = pool.take()
    end_session(postgres_admin, pid(connection))

    error = raised(lambda: connection.execute("SELECT 1"))

    assert is_lost(error)
    ours = translated(error, "commit", pool.place.name, written=None)
    assert isinstance(ours, Unavailable)
    assert ours.written is None
    assert "Whether it was written is unknown" in str(ours)
    pool.give(connection)
    assert len(pool) == 0


def test_a_connection_that_is_cut_is_lost_also_in_a_pipeline(pool_of: MakePool, postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        behind = pool_of(url=proxy.through(postgres_url))
        connection = behind.take()
        proxy.cut("to client", 3)

        def talk() -> None:
            with connection.pipeline():
                first = connection.execute("SELECT 1")
                connection.execute("SELECT 2")
                first.fetchone()

        assert is_lost(raised(talk))
        behind.give(connection)
        assert len(behind) == 0
        behind.close()


def test_what_follows_a_failed_statement_of_a_pipeline_is_not_taken_for_a_lost_connection(
    pool_of: MakePool,
) -> None:
    pool = pool_of()
    connection = pool.take()

    def talk() -> None:
        with connection.pipeline():
            first = connection.execute("SELECT 1/0")
            errors.append(raised(first.fetchone))
            connection.execute("SELECT 2").fetchone()

    errors: list[psycopg.Error] = []
    errors.append(raised(talk))

    assert [type(error) for error in errors] == [
        psycopg.errors.DivisionByZero,
        psycopg.errors.PipelineAborted,
    ]
    assert [is_lost(error) for error in errors] == [False, False]
    pool.give(connection)


# -- poolers -------------------------------------------------------------------------------------------------------------


def other_number(direction: str, piece: bytes) -> bytes:
    """What PgBouncer does: the number of the process that it names when connecting is its own."""
    at = piece.find(b"K\0\0\0") if direction == "to client" else -1
    return piece if at < 0 else piece[: at + 5] + b"\x7f\0\0\1" + piece[at + 9 :]


def test_a_pooler_is_known_by_the_number_of_the_process(pool_of: MakePool, postgres_url: str) -> None:
    with Proxy.of(postgres_url, rewrite=other_number) as proxy:
        behind = pool_of("&statement_timeout=9s", url=proxy.through(postgres_url))

        connection = behind.take()

        assert behind.pooled
        assert connection.prepare_threshold is None
        assert behind.settle is not None
        connection.execute("BEGIN")
        connection.execute(behind.settle)
        assert one(connection, "SHOW statement_timeout") == "9s"
        connection.execute("ROLLBACK")
        behind.give(connection)
        behind.close()


def test_prepare_off_keeps_nothing_in_a_session(pool_of: MakePool) -> None:
    pool = pool_of("&prepare=off&lock_timeout=4s")
    connection = pool.take()

    assert one(connection, "SHOW lock_timeout") == "0"
    for _ in range(5):
        connection.execute("SELECT $1::int", (1,))
    assert one(connection, "SELECT count(*) FROM pg_prepared_statements") == 0
    connection.execute("BEGIN")
    connection.execute(pool.settle or "")
    assert one(connection, "SHOW lock_timeout") == "4s"
    connection.execute("COMMIT")
    assert one(connection, "SHOW lock_timeout") == "0"
    pool.give(connection)


def test_prepare_on_prepares_whoever_is_between(pool_of: MakePool, postgres_url: str) -> None:
    with Proxy.of(postgres_url, rewrite=other_number) as proxy:
        behind = pool_of("&prepare=on", url=proxy.through(postgres_url))

        connection = behind.take()

        assert not behind.pooled
        for _ in range(5):
            connection.execute("SELECT $1::int", (1,))
        assert one(connection, "SELECT count(*) FROM pg_prepared_statements") == 1
        behind.give(connection)
        behind.close()


def test_a_process_that_may_start_no_threads_reads_commits_and_closes(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from perdure import clock
    from perdure.storage.contract import Commit, Outcome, PutItem, Revision
    from perdure.storage.postgres import PostgresBackend
    from perdure.storage.postgres.near import setting_of
    from perdure.storage.postgres.tending import Tending

    real = threading.Thread.start

    def refused(self: threading.Thread) -> None:
        if self.name.startswith("perdure-"):
            raise RuntimeError("can't start new thread")
        real(self)

    monkeypatch.setattr(threading.Thread, "start", refused)
    backend, told = PostgresBackend(postgres_url), list[Outcome]()
    for key in ("a", "b"):
        commit = Commit(clock.uuid6().bytes, 0, items=[PutItem(("x",), key, b"1")])
        backend.commit_soon(commit, told.append)
    assert all(isinstance(outcome, Revision) for outcome in told)
    assert len(told) == 2
    assert backend.item(("x",), "b") is not None
    setting = setting_of({"kind": "hnsw"}, 8, "cosine")
    assert setting is not None
    Tending(backend, "model", setting).stop()
    assert "no index of vectors is made, so they are compared exactly: can't start" in caplog.text
    backend.close()
