"""Every backend keeps the contract: the shipped checks, and random operations beside the reference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from perdure.storage.contract import Backend
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend
from perdure.testing import backends


@pytest.fixture(
    params=["memory", "sqlite", "sqlite in memory", pytest.param("postgres", marks=pytest.mark.postgres)]
)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Backend]:
    match request.param:
        case "memory":
            return MemoryBackend
        case "sqlite":
            return lambda: SqliteBackend(tmp_path / "test.db", synchronous="OFF")
        case "postgres":
            urls: Callable[[], str] = request.getfixturevalue("postgres_urls")
            from perdure.storage.postgres import PostgresBackend

            return lambda: PostgresBackend(urls())
        case _:
            return lambda: SqliteBackend(None)


@pytest.mark.parametrize("check", backends.CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
def test_a_backend(check: Callable[[backends.Make], None], make: backends.Make) -> None:
    check(make)
