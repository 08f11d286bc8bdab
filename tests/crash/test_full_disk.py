"""A server whose disk is full: its callers are told so, nothing is lost, and all goes on when there is room again."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

from crash.crowd import Crowd
from crash.saboteur import whole
from perdure import connect
from perdure.errors import StorageError
from perdure.testing.postgres import PostgresServer

pytestmark = pytest.mark.postgres


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


def fill(disk: Path, left: int = 0) -> None:
    """No room is left but so many bytes."""
    room = os.statvfs(disk)
    with suppress(OSError):  # others write, too
        (disk / "ballast").write_bytes(bytes(max(0, room.f_bavail * room.f_frsize - left)))


def make_room(disk: Path) -> None:
    (disk / "ballast").unlink()


def owned(path: Path, server: PostgresServer) -> None:
    """It belongs to the user that runs the server."""
    owner = server.folder.stat()
    os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def small_database(server: PostgresServer, folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a database on a small disk, and the disk."""
    with small_disk(folder, 40) as disk:
        space = disk / "space"
        space.mkdir(mode=0o700)
        owned(space, server)
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
            admin.execute("CREATE DATABASE small TABLESPACE small")

        yield f"{server.url.rpartition('/')[0]}/small", disk
        server.stop(signal.SIGQUIT)  # so that the disk is nobody's


@pytest.mark.postgres
def test_a_full_disk_is_an_error_that_says_so_and_all_goes_on_when_there_is_room(
    own_server: PostgresServer, folder: Path
) -> None:
    with small_database(own_server, folder) as (url, disk):
        written: list[str] = []
        with connect(url) as db:
            db.store.put(("notes",), "first", {"text": "there was room"})
            fill(disk, 1 << 20)

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

            make_room(disk)
            db.store.put(("notes",), "last", {"text": "there is room again"})

            found = {item.key for item in db.store.search(("notes",), limit=1000)}
            assert found == {"first", "last", *written}
        whole(url)


@pytest.mark.postgres
def test_a_full_disk_under_a_crowd_loses_nothing_and_they_go_on(
    own_server: PostgresServer, folder: Path
) -> None:
    with small_database(own_server, folder) as (url, disk):
        with Crowd(url, steps=60, tolerated=StorageError) as crowd:
            crowd.wait_for(20)
            fill(disk)
            until = time.monotonic() + 30
            while not crowd.errors:
                assert time.monotonic() < until, "the disk was never full"
                time.sleep(0.01)
            make_room(disk)

        assert any("full disk" in str(error) for error in crowd.errors)
        whole(url)


def test_a_server_whose_log_has_no_room_crashes_and_nothing_of_what_it_promised_is_lost(
    own_server: PostgresServer, folder: Path
) -> None:
    with small_disk(folder, 48) as disk:
        log, place = own_server.folder / "data" / "pg_wal", disk / "log"
        own_server.stop()
        shutil.move(log, place)
        log.symlink_to(place)
        for path in (place, *place.rglob("*")):
            owned(path, own_server)
        own_server.start()
        with Crowd(own_server.url) as crowd:
            crowd.wait_for(20)
            fill(disk)
            with psycopg.connect(own_server.url, autocommit=True) as admin, suppress(psycopg.Error):
                for _ in range(4):  # each wants a file of its own
                    admin.execute("SELECT pg_logical_emit_message(true, 'a', 'b'), pg_switch_wal()")
            own_server.stop(signal.SIGQUIT)  # if it still runs: it may try to begin anew
            make_room(disk)
            own_server.start()

        assert "PANIC" in (own_server.folder / "log").read_text(), "there was room"
        whole(own_server.url)
        own_server.stop(signal.SIGQUIT)  # so that the disk is nobody's
