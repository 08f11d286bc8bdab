"""A server and one that follows it, for tests of replicas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import perdure
from perdure.database import Database
from perdure.testing.postgres import PostgresServer
from under_load import until


class Pair:
    """A server and one that follows it."""

    def __init__(self, folder: Path) -> None:
        self.primary = PostgresServer(folder / "primary")
        self.standby = PostgresServer(folder / "standby", standby_of=self.primary)
        self.url = ""

    def on_standby(self, sql: str) -> list[tuple[Any, ...]]:
        import psycopg

        with psycopg.connect(self.standby.url, autocommit=True) as connection:
            found = connection.execute(sql)
            return found.fetchall() if found.description else []

    def pause(self) -> None:
        self.on_standby("SELECT pg_wal_replay_pause()")
        until(lambda: self.on_standby("SELECT pg_get_wal_replay_pause_state()") == [("paused",)])

    def resume(self) -> None:
        self.on_standby("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        import psycopg

        with psycopg.connect(self.primary.url, autocommit=True) as connection:
            ((place,),) = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchall()
        self.resume()
        until(lambda: self.on_standby(f"SELECT pg_last_wal_replay_lsn() >= '{place}'::pg_lsn")[0][0])

    def open(self, options: str = "") -> Database:
        """With the replica."""
        host = f"{self.url}&read_host=127.0.0.1&read_port={self.standby.port}{options}"
        return perdure.connect(host, ttl={})
