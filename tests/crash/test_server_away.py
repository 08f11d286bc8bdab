"""A server that ends sessions, stops, crashes, is slow or full, or gives way to another, while a crowd works.

The crowd (`crowd.py`) counts in threads and in memory, and watches: nothing that was told to be written is lost, nothing
stands twice, every change is seen once.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

from crash.crowd import Crowd
from crash.saboteur import only_reads, whole
from perdure import connect
from perdure.errors import StorageError, Unavailable
from perdure.testing import postgres
from perdure.testing.postgres import PostgresServer, chosen, programs
from perdure.testing.proxy import Proxy


@pytest.fixture
def folder() -> Iterator[Path]:
    """Of servers. Short, for the path of a socket may have a hundred bytes; and every user may look in."""
    if programs(chosen()) is None:
        pytest.skip(postgres.MISSING)
    with TemporaryDirectory(prefix="perdure-pg-away-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def server(folder: Path) -> Iterator[PostgresServer]:
    """One that a test may do anything to. It keeps its promise: what it says is written is on disk."""
    made = PostgresServer(folder / "server", settings={"fsync": "on", "full_page_writes": "on"})
    yield made
    made.remove()


# -- sessions that are ended -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_sessions_that_are_ended_at_random_lose_nothing(
    postgres_url: str, postgres_admin: Any, times: int
) -> None:
    chance = random.Random(7)
    ended = 0
    url = f"{postgres_url}&application_name=perdure-ended"
    with Crowd(url, steps=max(20, times)) as crowd:
        for _ in range(times):
            crowd.wait_for(chance.randrange(1, 6))
            rows = postgres_admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'perdure-ended'"
                " ORDER BY random() LIMIT %s",
                (chance.randrange(1, 4),),
            ).fetchall()
            ended += len(rows)

    assert ended >= times
    only_reads(crowd.errors)
    whole(postgres_url)


# -- servers that stop -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["stopped", "crashed"])
@pytest.mark.parametrize("times", [1, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.postgres
def test_a_server_that_stops_and_starts_again_under_load_loses_nothing(
    server: PostgresServer, how: signal.Signals, times: int
) -> None:
    with Crowd(server.url, steps=max(20, 5 * times)) as crowd:
        for _ in range(times):
            crowd.wait_for(15)
            server.stop(how)
            server.start()

    only_reads(crowd.errors)
    whole(server.url)


@contextmanager
def pair(folder: Path) -> Iterator[tuple[PostgresServer, PostgresServer]]:
    """A primary, and a standby that has applied whatever was told to be written."""
    safe = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "remote_apply"}
    primary = PostgresServer(folder / "primary", settings=safe)
    standby: PostgresServer | None = None
    try:
        standby = PostgresServer(folder / "standby", settings=safe, standby_of=primary)
        with psycopg.connect(primary.url, autocommit=True) as admin:
            admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            admin.execute("SELECT pg_reload_conf()")
            state = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
            until = time.monotonic() + 30
            while admin.execute(state).fetchone() != (1,):
                assert time.monotonic() < until, "the standby does not follow"
                time.sleep(0.02)
        yield primary, standby
    finally:
        primary.remove()
        if standby is not None:
            standby.remove()


def of_both(primary: PostgresServer, standby: PostgresServer, rest: str) -> str:
    return f"postgresql://postgres@127.0.0.1:{primary.port},127.0.0.1:{standby.port}/postgres?{rest}"


def give_way(primary: PostgresServer, standby: PostgresServer) -> None:
    """The primary crashes, and the standby is told to take writes, alone."""
    primary.stop(signal.SIGQUIT)
    standby.promote()
    with psycopg.connect(standby.url, autocommit=True) as admin:
        admin.execute(
            "ALTER SYSTEM SET synchronous_standby_names = ''"
        )  # else it would wait for one of its own
        admin.execute("SELECT pg_reload_conf()")


@pytest.mark.postgres
@pytest.mark.parametrize(
    "after", [40, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 5, 17, 60, 100))]
)
def test_a_standby_that_takes_over_has_all_that_was_told_to_be_written(folder: Path, after: int) -> None:
    with pair(folder) as (primary, standby):
        url = of_both(primary, standby, "target_session_attrs=read-write")
        with Crowd(url) as crowd:
            crowd.wait_for(after)
            give_way(primary, standby)

        only_reads(crowd.errors)
        whole(standby.url)


# -- servers that are slow, full, or have no room ----------------------------------------------------------------------


def test_a_slow_server_makes_all_slow_and_nothing_wrong(postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        proxy.delay(0.003)
        with Crowd(proxy.through(postgres_url), size=4, steps=4) as crowd:
            crowd.wait_for(crowd.total // 2)
            proxy.delay(0.02, "to client")

        assert crowd.errors == []


def test_readers_that_hold_all_connections_make_others_say_which_setting_it_is(postgres_url: str) -> None:
    with connect(f"{postgres_url}&pool_max=2&pool_timeout=0.2") as db:
        with db.backend.read(), db.backend.read(), pytest.raises(Unavailable) as raised:
            db.store.put(("n",), "k", {"v": 1})

        assert raised.value.written is False
        assert "pool_max=2" in str(raised.value)
        assert "pool_timeout=0.2" in str(raised.value)
        db.store.put(("n",), "k", {"v": 2})
        assert [each.value for each in db.store.history(("n",), "k")] == [{"v": 2}]


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own, of so many megabytes."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place = folder / "disk"
    place.mkdir()
    options = f"size={megabytes}m,mode=0777"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "perdure", place], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=False)


@contextmanager
def small_database(
    server: PostgresServer, folder: Path
) -> Iterator[tuple[str, Callable[[int], None], Callable[[], None]]]:
    """The URL of a database on a small disk; what fills that up to so many bytes; what makes room again."""
    with small_disk(folder, 40) as disk:
        space, ballast = disk / "space", disk / "ballast"
        space.mkdir(mode=0o700)
        owner = server.folder.stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            admin.execute("CREATE DATABASE small TABLESPACE small")

        def fill(left: int) -> None:
            room = os.statvfs(disk)
            with suppress(OSError):  # others write, too
                ballast.write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - left)))

        yield f"{server.url.rpartition('/')[0]}/small", fill, ballast.unlink
        server.stop(signal.SIGQUIT)  # so that the disk is nobody's


@pytest.mark.postgres
def test_a_full_disk_is_an_error_that_says_so_and_all_goes_on_when_there_is_room(
    server: PostgresServer, folder: Path
) -> None:
    with small_database(server, folder) as (url, fill, make_room):
        written: list[str] = []
        with connect(url) as db:
            db.store.put(("notes",), "first", {"text": "there was room"})
            fill(1 << 20)

            def until_it_is_full() -> None:
                for number in range(400):
                    text = random.Random(number).randbytes(6000).hex()
                    db.store.put(("notes",), f"k{number}", {"text": text})
                    written.append(f"k{number}")

            with pytest.raises(StorageError) as raised:
                until_it_is_full()
            assert "full disk" in str(raised.value)
            assert "Nothing was written" in str(raised.value)
            assert "Free space" in (raised.value.hint or "")
            assert db.store.get(("notes",), "first") is not None

            make_room()
            db.store.put(("notes",), "last", {"text": "there is room again"})

            found = {item.key for item in db.store.search(("notes",), limit=1000)}
            assert found == {"first", "last", *written}
        whole(url)


@pytest.mark.postgres
def test_a_full_disk_under_a_crowd_loses_nothing_and_they_go_on(server: PostgresServer, folder: Path) -> None:
    with small_database(server, folder) as (url, fill, make_room):
        with Crowd(url, steps=60, tolerated=StorageError) as crowd:
            crowd.wait_for(20)
            fill(0)
            until = time.monotonic() + 30
            while not crowd.errors:
                assert time.monotonic() < until, "the disk was never full"
                time.sleep(0.01)
            make_room()

        assert any("full disk" in str(error) for error in crowd.errors)
        whole(url)
