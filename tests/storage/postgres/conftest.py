"""For tests of Postgres itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import get_ident
from typing import Any

import pytest

from perdure import clock


@pytest.fixture
def own_database(postgres_server: str, postgres_admin: Any) -> Iterator[str]:
    """A database in which extensions can be made; `key=value` pairs of libpq's."""
    from psycopg.conninfo import make_conninfo

    name = f"checked_{clock.uuid6().hex}"
    postgres_admin.execute(f"CREATE DATABASE {name}")
    yield make_conninfo(postgres_server, dbname=name)
    postgres_admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


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
