"""For tests of Postgres itself."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import get_ident
from typing import Any

import pytest

import perdure
from perdure import clock
from perdure.database import Database
from perdure.testing.postgres import MISSING, chosen, programs
from replicated import Pair


@pytest.fixture
def own_database(postgres_server: str, postgres_admin: Any) -> Iterator[str]:
    """A database in which extensions can be made; `key=value` pairs of libpq's."""
    from psycopg.conninfo import make_conninfo

    name = f"checked_{clock.uuid6().hex}"
    postgres_admin.execute(f"CREATE DATABASE {name}")
    yield make_conninfo(postgres_server, dbname=name)
    postgres_admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Which the server's user may enter, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture(scope="session")
def servers(folder: Path) -> Iterator[Pair]:
    if programs(chosen()) is None:
        pytest.skip(MISSING)
    made = Pair(folder)
    yield made
    made.standby.remove()
    made.primary.remove()


@pytest.fixture
def pair(servers: Pair) -> Iterator[Pair]:
    schema = f"t{clock.uuid6().hex}"
    servers.url = f"{servers.primary.url}?schema={schema}"
    perdure.connect(servers.url).close()
    servers.catch_up()
    yield servers
    servers.resume()
    import psycopg

    with psycopg.connect(servers.primary.url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture
def other(pair: Pair) -> Iterator[Database]:
    """As another process has it: a backend of its own, without replicas."""
    from perdure.storage.postgres import PostgresBackend

    made = Database(pair.url, PostgresBackend(pair.url), cipher=None, keep_history="all")
    yield made
    made.close()


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], int]:
    """Counts how often this thread waits for a connection."""
    from perdure.storage.postgres import talking

    said: list[int] = []
    here: list[int] = []
    real = talking._said

    def counted(connection: Any, habits: Any, what: Any) -> Any:
        if here == [get_ident()]:  # a step of the graph may be committed meanwhile
            said.append(len(what))
        return real(connection, habits, what)

    monkeypatch.setattr(talking, "_said", counted)

    def count(ask: Callable[[], Any]) -> int:
        said.clear()
        here[:] = [get_ident()]
        ask()
        return len(said)

    return count
