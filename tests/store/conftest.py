"""Every store of ours by one fixture, fresh and empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import SqliteStore

KINDS = ["memory", "sqlite-file", "sqlite-memory"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackendStore]:
    match request.param:
        case "memory":
            made: AbstractContextManager[BackendStore] = InMemoryStore()
        case "sqlite-file":
            made = SqliteStore.from_conn_string(str(tmp_path / "store.db"))
        case _:
            made = SqliteStore.from_conn_string(":memory:")
    with made as opened:
        yield opened
