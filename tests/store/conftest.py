"""Every store of ours by one fixture, fresh and empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from databases import POSTGRES
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite-file", "sqlite-memory", POSTGRES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackendStore]:
    match request.param:
        case "memory":
            made: AbstractContextManager[BackendStore] = InMemoryStore()
        case "sqlite-file":
            made = SqliteStore.from_conn_string(str(tmp_path / "store.db"))
        case "postgres":
            made = PostgresStore.from_conn_string(request.getfixturevalue("postgres_url"))
        case _:
            made = SqliteStore.from_conn_string(":memory:")
    with made as opened:
        yield opened
