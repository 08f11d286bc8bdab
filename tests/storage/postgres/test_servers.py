"""The server that tests start: alone or shared, by root or not, gone with the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

from perdure.errors import StorageError
from perdure.testing import postgres
from perdure.testing.postgres import PostgresServer, chosen, programs

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.skipif(programs(chosen()) is None, reason=postgres.MISSING),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, for the path of a socket may have a hundred bytes; and every user may look in."""
    with TemporaryDirectory(prefix="perdure-pg-test-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=5) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def test_a_crash_loses_no_committed_row_and_the_server_comes_back_at_the_same_place(folder: Path) -> None:
    server = PostgresServer(folder / "server", settings={"fsync": "on"})
    try:
        with psycopg.connect(server.url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS n")

        server.stop(signal.SIGQUIT)
        assert not answers(server.url)
        server.start()

        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT n FROM t").fetchone() == (7,)
    finally:
        server.remove()
    assert not (folder / "server").exists()


def test_a_standby_follows_and_takes_writes_when_it_is_promoted(folder: Path) -> None:
    primary = PostgresServer(folder / "primary")
    standby: PostgresServer | None = None
    try:
        with psycopg.connect(primary.url) as connection:
            connection.execute("CREATE TABLE t AS SELECT 7 AS n")
        standby = PostgresServer(folder / "standby", standby_of=primary)
        with psycopg.connect(standby.url) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO t VALUES (8)")

        primary.stop(signal.SIGQUIT)
        standby.promote()

        with psycopg.connect(standby.url) as connection:
            connection.execute("INSERT INTO t VALUES (8)")
            assert connection.execute("SELECT n FROM t ORDER BY n").fetchall() == [(7,), (8,)]
    finally:
        primary.remove()
        if standby is not None:
            standby.remove()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with pytest.raises(StorageError, match=r"does not start(?s:.*)no_such_setting"):
        PostgresServer(folder / "server", settings={"no_such_setting": "1"})


SHARER = """
import sys, time
from pathlib import Path
from perdure.testing.postgres import shared_server
print(shared_server(Path(sys.argv[1]), int(sys.argv[2])), flush=True)
"""


def test_many_processes_share_one_server_which_ends_with_the_one_it_is_for(folder: Path) -> None:
    watched = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    try:
        sharers = [
            subprocess.Popen(
                [sys.executable, "-c", SHARER, str(folder / "shared"), str(watched.pid)],
                stdout=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for _ in range(4)
        ]
        urls = {sharer.communicate(timeout=100)[0].strip() for sharer in sharers}
        assert len(urls) == 1
        (url,) = urls
        assert answers(url)
    finally:
        watched.kill()
        watched.wait()
    end = time.monotonic() + 20
    while (folder / "shared").exists():
        assert time.monotonic() < end, "the server outlived the run"
        time.sleep(0.02)
    assert not answers(url)


def test_programs_that_the_server_s_user_cannot_reach_are_copied(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root starts the server as somebody else")
    found = programs(chosen())
    assert found is not None
    hidden = folder / "hidden"
    hidden.mkdir(mode=0o700)
    shutil.copytree(found.parent, hidden / postgres.WHEEL / found.parent.name)
    libraries = found.parents[1].with_name(f"{postgres.WHEEL}.libs")
    if libraries.exists():
        shutil.copytree(libraries, hidden / libraries.name)
    there = hidden / postgres.WHEEL / found.parent.name / "bin"
    monkeypatch.setattr(postgres, "programs", lambda version: there)

    server = PostgresServer(folder / "server")

    try:
        assert answers(server.url)
    finally:
        server.remove()
