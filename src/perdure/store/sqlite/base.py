"""`SqliteStore`: memory in a SQLite file, for blocking and async callers alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

from perdure.storage.item_codec import ItemCodec
from perdure.storage.lifetimes import checked_config
from perdure.storage.opened import Opened
from perdure.storage.preselect import declared_paths
from perdure.storage.sqlite_given import of_connection, of_path
from perdure.storage.upkeep import KeepHistory, checked
from perdure.store.base import Contract, IndexConfig, TTLConfig
from perdure.store.face import BackendStore, Opening, codec_of
from perdure.store.swept import SweptStore

if TYPE_CHECKING:
    import sqlite3

__all__ = ["SqliteFace", "SqliteIndexConfig", "SqliteStore"]

Deserializer = Callable[[bytes], dict[str, Any]]


class SqliteIndexConfig(IndexConfig, total=False):
    """As `IndexConfig`."""


class SqliteFace(BackendStore):
    """What both SQLite stores have in common."""

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        index: SqliteIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        keep_history: KeepHistory | None = None,
        indexes: Sequence[str] = (),
        contracts: Sequence[Contract] | None = None,
    ) -> Opening[Self]:
        """A store on the file, to be used with `with` or `async with`; closed when the block ends.

        Args:
            conn_string: path of the file, made if it is not there; `":memory:"` is a new database in memory.
            index: what of the items is found by words, and how; by default all texts of a value, in English.
            ttl: how long items live; `{}`: for ever unless a put says otherwise; None: for ever, and `put(ttl=)` is refused.
            indexes: paths of the values by which listings with a filter are fast, e.g. `["status", "user.age"]`; see
                `docs/reference/filters.md`. They stay until they are dropped, whoever opens the database.
            keep_history: which versions of items are kept (see `perdure.connect`), in the whole database, as long as this
                process says nothing else; None: as was said before, 30 days if nobody did.
            contracts: what items of some namespaces look like, looked at when they are put; None: whatever they like.

        Raises:
            ValueError: `keep_history` cannot be right.
            StorageError: on entering: the file cannot be opened, or is no database of ours.
            PerdureError: an `index`, `ttl` or contract that cannot be right.
        """
        lives = checked_config(ttl)
        codec = codec_of(index, contracts=contracts)
        kept = None if keep_history is None else checked(keep_history)
        declared_paths(indexes)  # before anything is opened

        def make() -> Self:
            store = cls.__new__(cls)
            SqliteFace.__init__(
                store, of_path(conn_string), codec, keep_history=kept, ttl=lives, indexes=indexes
            )
            return store

        return Opening(make)

    def __init__(
        self,
        opened: Opened | None,
        codec: ItemCodec,
        *,
        keep_history: KeepHistory | None = None,
        ttl: TTLConfig | None = None,
        indexes: Sequence[str] = (),
    ) -> None:
        """Over a backend that was opened for this store."""
        super().__init__(
            None if opened is None else opened.backend,
            codec,
            let_go=None if opened is None else opened.let_go,
            keep_history=None if keep_history is None else checked(keep_history),
            ttl=ttl,
            indexes=indexes,
        )


class SqliteStore(SqliteFace, SweptStore):
    """Memory in SQLite. One object serves blocking and async callers, any thread, any event loop.

    The schema is made when the database is opened. Other stores and savers on the same file, however its path is
    spelt, share one connection pool and commit together with this one.

    Args:
        conn: a connection of the standard library's `sqlite3`. If its database is a file, we open that file ourselves
            and leave the connection alone (a transaction that is open on it makes our writes wait); if it is in memory,
            the connection itself is used.
        deserializer: from the stored JSON (bytes) to the value, instead of ours.
        index: what of the items is found by words, and how; by default all texts of a value, in English.
        ttl: how long items live, as in `from_conn_string`.
        keep_history: which versions of items are kept, as in `from_conn_string`.
        indexes: paths by which filtered listings are fast, as in `from_conn_string`.
        contracts: what items look like, as in `from_conn_string`.

    Raises:
        ValueError: the connection cannot be shared between threads; the message has the line to write instead.
        StorageError: it is closed, or its database cannot be opened.
        PerdureError: an `index`, `ttl` or contract that cannot be right.
    """

    def __init__(
        self,
        conn: sqlite3.Connection,
        *,
        deserializer: Deserializer | None = None,
        index: SqliteIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        keep_history: KeepHistory | None = None,
        indexes: Sequence[str] = (),
        contracts: Sequence[Contract] | None = None,
    ) -> None:
        """On the connection's database."""
        lives = checked_config(ttl)
        codec = codec_of(index, loads=deserializer, contracts=contracts)  # before anything is opened
        declared_paths(indexes)
        super().__init__(of_connection(conn), codec, keep_history=keep_history, ttl=lives, indexes=indexes)

    def setup(self) -> None:
        """Nothing is left to do: the schema was made when the database was opened."""
        self._backend()
