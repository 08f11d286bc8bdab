"""A server that cannot be written to any more: after a failover the old primary, or one whose operator says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from perdure import clock
from perdure.errors import Unavailable
from perdure.storage.contract import Commit, HeadIs, Outcome, PutItem, Revision
from perdure.testing.backends import checkpoint_of
from perdure.testing.raised import raised

pytest.importorskip("psycopg")

from perdure.storage.postgres import PostgresBackend, connections
from perdure.storage.postgres.talking import say

READ_ONLY = b"SET default_transaction_read_only = on"


def put(key: str) -> Commit:
    return Commit(clock.uuid6().bytes, 1, items=[PutItem(("s",), key, b"v")])


def step(n: int) -> Commit:
    before = f"{n - 1:04}" if n else None
    return Commit(
        clock.uuid6().bytes,
        1,
        heads=[HeadIs("t", "", before)],
        checkpoints=[checkpoint_of("t", f"{n:04}", before)],
    )


@pytest.fixture
def opened(own_database: str) -> Iterator[Callable[..., PostgresBackend]]:
    made: list[PostgresBackend] = []

    def one(**options: object) -> PostgresBackend:
        more = " ".join(f"{name}={value}" for name, value in options.items())
        made.append(PostgresBackend(f"{own_database} {more}"))
        return made[-1]

    yield one
    for backend in made:
        backend.close()


class Operator:
    """Whoever may say that a database is read-only."""

    def __init__(self, admin: Any, database: str) -> None:
        self._admin = admin
        self._name = database

    def says(self, what: str) -> None:
        """For sessions that begin later."""
        self._admin.execute(f"ALTER DATABASE {self._name} {what}")

    def ends_sessions(self) -> None:
        self._admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self._name,)
        )


@pytest.fixture
def operator(postgres_admin: Any, own_database: str) -> Operator:
    from psycopg.conninfo import conninfo_to_dict

    return Operator(postgres_admin, str(conninfo_to_dict(own_database)["dbname"]))


def becomes_read_only(backend: PostgresBackend, count: int) -> None:
    """The sessions that it has."""
    line = backend._line
    connections = [line.take() for _ in range(count)]
    for connection in connections:
        say(connection, READ_ONLY)
        line.give(connection)


def keys(backend: PostgresBackend) -> list[str]:
    with backend.read() as now:
        return [row.key for row in now.changes(None, 99)]


def test_a_commit_leaves_sessions_that_became_read_only_for_new_ones(
    opened: Callable[..., PostgresBackend],
) -> None:
    backend = opened()
    backend.commit(put("a"))
    becomes_read_only(backend, 5)

    backend.commit(put("b"))

    assert keys(backend) == ["a", "b"]
    backend.commit(put("c"))


def test_a_step_of_one_round_trip_does_so_too(opened: Callable[..., PostgresBackend]) -> None:
    backend = opened()
    for n in range(4):
        backend.commit(step(n))
    becomes_read_only(backend, 5)

    backend.commit(step(4))

    with backend.read() as now:
        assert now.count("checkpoints") == 5


@pytest.mark.parametrize("attributes", ["any", "read-write"])
def test_a_server_that_stays_read_only_is_told_with_what_to_do(
    opened: Callable[..., PostgresBackend], operator: Operator, attributes: str
) -> None:
    backend = opened(pool_timeout=0.5, target_session_attrs=attributes)
    backend.commit(put("a"))
    operator.says("SET default_transaction_read_only = on")
    operator.ends_sessions()

    began = time.monotonic()
    error = raised(Unavailable, lambda: backend.commit(put("b")))

    assert time.monotonic() - began < 10
    assert error.written is False
    assert "is read-only" in str(error)
    assert "target_session_attrs=read-write" in str(error)
    operator.says("RESET default_transaction_read_only")
    backend.commit(put("c"))
    assert keys(backend) == ["a", "c"]


@pytest.mark.parametrize("attributes", ["any", "read-write"])
def test_a_commit_waits_for_a_server_that_can_be_written_to(
    opened: Callable[..., PostgresBackend],
    operator: Operator,
    attributes: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried = threading.Event()

    def connecting(*args: Any, **more: Any) -> Any:
        try:
            return connect(*args, **more)
        finally:
            tried.set()

    connect = connections.connect
    backend = opened(target_session_attrs=attributes)
    backend.commit(put("a"))
    operator.says("SET default_transaction_read_only = on")
    operator.ends_sessions()
    monkeypatch.setattr(connections, "connect", connecting)
    found: list[Outcome] = []
    waiting = threading.Thread(target=lambda: found.append(backend.commit(put("b"))))
    waiting.start()
    assert tried.wait(20)
    operator.says("RESET default_transaction_read_only")
    waiting.join(30)

    assert [type(outcome) for outcome in found] == [Revision]
    assert keys(backend) == ["a", "b"]


def test_where_nothing_was_ever_written_it_is_told_at_once(
    opened: Callable[..., PostgresBackend], operator: Operator
) -> None:
    opened().commit(put("a"))
    operator.says("SET default_transaction_read_only = on")
    backend = opened()

    began = time.monotonic()
    raised(Unavailable, lambda: backend.commit(put("b")))

    assert time.monotonic() - began < 5
    assert keys(backend) == ["a"]
