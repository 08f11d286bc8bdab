"""What a Postgres database tells its operator, and holding its writers off.

Here: `Administering`, that side of `PostgresBackend`. Not here: what the database finds wrong with itself (`integrity.py`), one
that is not opened yet (`looking.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from perdure.codec import bytes_to_text, decode_namespace, encode_namespace, text_to_bytes
from perdure.errors import Unavailable
from perdure.storage.contract import (
    OWED,
    About,
    Chained,
    Embedded,
    Largest,
    Namespace,
    Snapshot,
    SpaceSize,
    TableSize,
    ThreadSize,
)
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import translated
from perdure.storage.postgres.integrity import faults_of, what_looks
from perdure.storage.postgres.lagging import standings
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.migrating import applied
from perdure.storage.postgres.opening import Connection, connect
from perdure.storage.postgres.parameters import columns_of
from perdure.storage.postgres.readings import Reading
from perdure.storage.postgres.talking import say
from perdure.storage.postgres.turns import keep_out
from perdure.storage.tables.embedding_rows import OWED_MODEL
from perdure.storage.tables.packing import unpack_id
from perdure.storage.tables.snapshot import TABLES

__all__ = ["Administering"]

_NUMBERS: Final = 1 << 31  # see numbers.py
_OF_CONTRACT: Final = {"history": "versions"}
# What all else asks seeks, and is planned once (`line.py`); this scans.
_SCANS: Final = (
    b"SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true),"
    b" set_config('enable_mergejoin', 'on', true), set_config('enable_bitmapscan', 'on', true),"
    b" set_config('enable_material', 'on', true), set_config('plan_cache_mode', 'force_custom_plan', true)"
)
# The server's own limits would end a block that takes its time, and let writers in unnoticed.
_NO_LIMITS: Final = b"SELECT set_config('statement_timeout', '0', true), set_config('idle_in_transaction_session_timeout', '0', true)"
_NO_TRANSACTION_LIMIT: Final = b"SELECT set_config('transaction_timeout', '0', true)"
_HAS_TRANSACTION_LIMIT: Final = 17_00_00


class Administering(ABC):
    """See the contract, `Administered`."""

    _line: Line

    @abstractmethod
    def _check_alive(self) -> None:
        """Raises StorageError if it is closed."""

    def about(self) -> About:
        """What it is: the server, how it is reached and by whom, and what it has that Perdure could use."""
        place, pool = self._line.place, self._line.pool
        with self._scanning() as (reading, _):
            (row,) = self._ask(reading, "what_it_is")
            engine, role, synchronous, replica, size, connections, most, checksums, vector, offered = row
            ((logs, namespaces),) = self._ask(reading, "numbers_given")
            number = applied(reading.connection, place.schema)
            encrypted = bool(reading.connection.pgconn.ssl_in_use)
        facts = (
            ("schema name", place.schema),
            ("role", role),
            ("server", "replica" if replica else "primary"),
            ("TLS", "yes" if encrypted else "no"),
            ("pooler", _pooler(pooled=pool.pooled, told=place.prepare == "off")),
            ("connections", f"{connections} to this database, of {most} that the server allows"),
            ("synchronous", synchronous),
            ("database bytes", str(size)),
            (
                "numbers given",
                f"{logs / _NUMBERS:.2%} of those for logs, {namespaces / _NUMBERS:.2%} for namespaces",
            ),
            ("checksums", checksums),
            ("vector", vector or (f"not installed; the server has {offered}" if offered else "not there")),
            ("self-check", what_looks(self._line)),
        )
        replicas = () if place.read is None else standings(self._line, place.read)
        return About("postgres", place.name, f"PostgreSQL {engine}", number, facts, replicas)

    def sizes(self) -> list[TableSize]:
        """Rows of each table, counted; bytes are those of its files, with indexes, long values, and rows that are gone."""
        with self._scanning() as (reading, now):
            rows = {name: now.count(name) for name in TABLES}
            files = dict(self._ask(reading, "bytes_of_tables", self._line.place.schema))
        found = [
            TableSize(name, count, files.pop(f"perdure_{_OF_CONTRACT.get(name, name)}", 0))
            for name, count in rows.items()
        ]
        return [*found, TableSize("other", 0, sum(files.values()))]

    def largest(self, limit: int, /) -> Largest:
        """The threads and namespaces with most bytes."""
        with self._scanning() as (reading, _):
            threads = self._ask(reading, "largest_threads", limit)
            spaces = self._ask(reading, "largest_namespaces", limit)
        return Largest(
            [ThreadSize(bytes_to_text(name), count, size) for name, count, size in threads],
            [SpaceSize(decode_namespace(name), *rest) for name, *rest in spaces],
        )

    def faults(self, *, quick: bool) -> list[str]:
        """What is missing or cannot be used, what failed its checksum, and what `amcheck` says where it is installed."""
        self._check_alive()
        return faults_of(self._line, quick=quick)

    def strays(self, limit: int, /) -> list[Chained]:
        """Places of pending writes and staged memory that no checkpoint stands at."""
        with self._scanning() as (reading, _):
            rows = self._ask(reading, "places_of_nobody", limit)
        return [(bytes_to_text(thread), bytes_to_text(ns), unpack_id(id)) for thread, ns, id in rows]

    def embedded(
        self, places: Sequence[tuple[Namespace, str]], /
    ) -> dict[tuple[Namespace, str], tuple[int, Embedded]]:
        """Version and vectors of live items."""
        self._check_alive()
        if not places:
            return {}
        wanted = [(encode_namespace(space), text_to_bytes(key)) for space, key in places]
        reading = Reading(self._line)
        with reading:
            kinds = reading.statements["embedded_as"].kinds
            rows = self._ask(reading, "embedded_as", *columns_of(kinds, wanted))
        found: dict[tuple[Namespace, str], tuple[int, Embedded]] = {}
        for space, key, version, model, name, data in rows:
            where = decode_namespace(space), bytes_to_text(key)
            if model == OWED_MODEL:
                found[where] = version, OWED
            elif data is not None and name is not None:
                found[where] = version, Embedded(bytes_to_text(name), data)
        return found

    # -- holding writers off -------------------------------------------------------------------------------------------

    @contextmanager
    def hold(self, wait_seconds: float, /) -> Generator[None]:
        """The lock that every commit shares, held alone, on a connection of its own.

        Raises:
            Unavailable: at the end of the block: that connection was lost meanwhile, so others may have written.
        """
        self._check_alive()
        place = self._line.place
        self._line.give(
            self._line.take()
        )  # what is written down about this server's origin is, before nobody can
        connection = connect(place, pooled=self._line.pool.pooled).connection
        try:
            try:
                self._lock_out(connection, wait_seconds)
            except psycopg.Error as error:
                raise translated(error, "hold writers off", place.name) from error
            yield
            try:
                say(connection, self._line.statements["rollback"].text)
            except psycopg.Error as error:
                said = " ".join(str(error).split())
                raise Unavailable(
                    f"{place.name}: the connection that held writers off was lost meanwhile ({said}). Others may have written.",
                    operation="hold writers off",
                    where=place.name,
                    hint="Do it again.",
                ) from error
        finally:
            connection.close()

    def _lock_out(self, connection: Connection, wait_seconds: float) -> None:
        told = [_NO_LIMITS]
        if connection.info.server_version >= _HAS_TRANSACTION_LIMIT:
            told.append(_NO_TRANSACTION_LIMIT)
        keep_out(connection, self._line.statements, wait_seconds, told)

    # -- asking ------------------------------------------------------------------------------------------------------

    @contextmanager
    def _scanning(self) -> Generator[tuple[Reading, Snapshot]]:
        """One moment, in which large parts of tables are read."""
        self._check_alive()
        reading = Reading(self._line)
        with reading as now:
            self._said(reading, _SCANS, ())
            yield reading, now

    def _ask(self, reading: Reading, name: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._said(reading, reading.statements[name].text, values)

    def _said(self, reading: Reading, text: bytes, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return say(reading.connection, text, values)
        except psycopg.Error as error:
            raise translated(error, "read", self._line.place.name) from error


def _pooler(*, pooled: bool, told: bool) -> str:
    if not pooled:
        return "none seen: statements are prepared"
    return f"{'prepare=off' if told else 'seen'}: statements are not prepared, sessions keep nothing"
