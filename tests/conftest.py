"""For all tests."""

from __future__ import annotations

import os
import secrets
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import url_by
from perdure.testing.postgres import MISSING, chosen, programs, shared_server, stop_shared

SHARED = "PERDURE_TEST_POSTGRES_SHARED"  # where the server of this run is, and the process it ends with
NEEDS_POSTGRES = {"postgres_url", "postgres_urls", "postgres_server"}


def pytest_configure() -> None:
    """Ctrl-C works here and in the processes that tests start, even where a shell started us in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if SHARED not in os.environ:  # a worker of xdist finds it there
        folder = Path(tempfile.gettempdir()) / f"perdure-pg-{os.getpid()}-{secrets.token_hex(3)}"
        os.environ[SHARED] = f"{os.getpid()}:{folder}"


def pytest_unconfigure() -> None:
    owner, _, folder = os.environ.get(SHARED, "").partition(":")
    if owner == str(os.getpid()):
        stop_shared(Path(folder))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An exhaustive test may take its time; the short limit is for finding what hangs."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(1800))
        if NEEDS_POSTGRES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.postgres)


@pytest.fixture(scope="session")
def postgres_server() -> str:
    """The URL of a database in which tests may do what they like; of a server of their own, or the one they are given."""
    if given := os.environ.get("PERDURE_TEST_POSTGRES"):
        return given
    pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[tests]'")
    if programs(chosen()) is None:
        pytest.skip(MISSING)
    owner, _, folder = os.environ[SHARED].partition(":")
    return shared_server(Path(folder), int(owner))


@pytest.fixture(scope="session")
def postgres_admin(postgres_server: str) -> Iterator[Any]:
    """A connection of `psycopg`'s, each statement a transaction."""
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        yield connection


@pytest.fixture
def postgres_urls(postgres_server: str, postgres_admin: Any) -> Iterator[Callable[[], str]]:
    """Each call gives the URL of a schema that nobody else uses. It is not made yet, and dropped after the test."""
    made: list[str] = []

    def new() -> str:
        made.append(f"test_{secrets.token_hex(8)}")
        return f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={made[-1]}"

    yield new
    for name in made:
        postgres_admin.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture(scope="module")
def one_schema(postgres_server: str, postgres_admin: Any) -> Iterator[str]:
    """The URL of a schema for all tests of a file, not made yet."""
    name = f"test_{secrets.token_hex(8)}"
    yield f"{postgres_server}{'&' if '?' in postgres_server else '?'}schema={name}"
    postgres_admin.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")


@pytest.fixture
def postgres_url(postgres_urls: Callable[[], str]) -> str:
    """The URL of a schema of this test's own, not made yet."""
    return postgres_urls()


@pytest.fixture
def url(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> str:
    """The URL of an empty database of the kind that the test's parameter names."""
    return url_of(request.param)


@pytest.fixture
def url_of(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Gives the URL of an empty database of a kind, another one at each call: see `databases.py`."""
    return url_by(tmp_path, lambda: request.getfixturevalue("postgres_urls")())
