"""For the crash tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from crash.kit import Kept, kept_in
from perdure.testing.postgres import MISSING, PostgresServer, chosen, programs


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Kept:
    """Gives an empty backend of a kind (see `databases.py`), as a context: it outlives the objects over it."""
    return lambda kind: kept_in(kind, tmp_path, lambda: request.getfixturevalue("postgres_urls")())


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of servers. Short, for the path of a socket may have a hundred bytes; and every user may look in."""
    if programs(chosen()) is None:
        pytest.skip(MISSING)
    with TemporaryDirectory(prefix="perdure-pg-away-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def own_server(folder: Path) -> Iterator[PostgresServer]:
    """One that a test may do anything to. It keeps its promise: what it says is written is on disk."""
    made = PostgresServer(folder / "server", settings={"fsync": "on", "full_page_writes": "on"})
    yield made
    made.remove()
