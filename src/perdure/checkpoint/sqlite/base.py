"""`SqliteSaver`: threads in a SQLite file, for blocking and async callers alike."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self, cast

from perdure.checkpoint.face import BackendSaver
from perdure.checkpoint.opening import Opening
from perdure.checkpoint.serde.base import SerializerProtocol, UntypedSerializerProtocol
from perdure.storage.opened import Opened
from perdure.storage.sqlite_given import of_connection, of_path

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SqliteFace", "SqliteSaver"]

Serde = SerializerProtocol | UntypedSerializerProtocol


class SqliteFace(BackendSaver):
    """What both SQLite savers have in common."""

    @classmethod
    def from_conn_string(cls, conn_string: str, *, serde: Serde | None = None) -> Opening[Self]:
        """A saver on the file, to be used with `with` or `async with`; closed when the block ends.

        Args:
            conn_string: path of the file, made if it is not there; `":memory:"` is a new database in memory.
            serde: a serializer for the values, instead of Perdure's own codec.

        Raises:
            StorageError: on entering: the file cannot be opened, or is no database of ours.
        """

        def make() -> Self:
            saver = cls.__new__(cls)
            SqliteFace.__init__(saver, of_path(conn_string), serde)
            return saver

        return Opening(make)

    def __init__(self, opened: Opened | None, serde: Serde | None = None) -> None:
        """Over a backend that was opened for this saver."""
        super().__init__(
            None if opened is None else opened.backend,
            serde=serde,
            let_go=None if opened is None else opened.let_go,
        )

    @contextmanager
    def cursor(self, transaction: bool = True) -> Generator[sqlite3.Cursor]:
        """A cursor of our own connection, for looking at the tables; it sees one moment and cannot write.

        Args:
            transaction: taken for compatibility; there is always one, and it only reads.
        """
        del transaction
        with self._backend().read() as snapshot:
            connection: Any = cast("Any", snapshot)._db  # of SQLite's own snapshots
            make: Callable[[], sqlite3.Cursor] = getattr(connection, "cursor", None) or connection._cursor
            cursor = make()
            try:
                yield cursor
            finally:
                cursor.close()


class SqliteSaver(SqliteFace):
    """Threads in SQLite. One object serves blocking and async callers, any thread, any event loop.

    The schema is made when the database is opened. Other savers and stores on the same file, however its path is spelt,
    share one connection pool and commit together with this one.

    Args:
        conn: a connection of the standard library's `sqlite3`. If its database is a file, we open that file ourselves
            and leave the connection alone (a transaction that is open on it makes our writes wait); if it is in memory,
            the connection itself is used.
        serde: a serializer for the values, instead of Perdure's own codec.

    Raises:
        ValueError: the connection cannot be shared between threads; the message has the line to write instead.
        StorageError: it is closed, or its database cannot be opened.
    """

    def __init__(self, conn: sqlite3.Connection, *, serde: Serde | None = None) -> None:
        """On the connection's database."""
        super().__init__(of_connection(conn), serde)

    def setup(self) -> None:
        """Nothing is left to do: the schema was made when the database was opened."""
        self._backend()
