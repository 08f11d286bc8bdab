"""Every store of ours by one fixture, fresh and empty."""

from __future__ import annotations

from collections.abc import Iterator
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
            made: BackendStore = InMemoryStore()
        case "sqlite-file":
            made = SqliteStore.open(tmp_path / "store.db")
        case _:
            made = SqliteStore.open(":memory:")
    with made:
        yield made
