"""A server that ends sessions, stops, crashes, is slow, or gives way to another, while a crowd works.

The crowd (`crowd.py`) counts in threads and in memory, and watches: nothing that was told to be written is lost, nothing
stands twice, every change is seen once.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg

from crash.crowd import Crowd
from crash.saboteur import only_reads, whole
from perdure import connect
from perdure.errors import Unavailable
from perdure.testing.postgres import PostgresServer
from perdure.testing.proxy import Proxy

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
    own_server: PostgresServer, how: signal.Signals, times: int
) -> None:
    with Crowd(own_server.url, steps=max(20, 5 * times)) as crowd:
        for _ in range(times):
            crowd.wait_for(15)
            own_server.stop(how)
            own_server.start()

    only_reads(crowd.errors)
    whole(own_server.url)


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


# -- servers that are slow, or have no room ----------------------------------------------------------------------------


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
