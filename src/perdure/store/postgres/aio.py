"""`AsyncPostgresStore`: the Postgres store, where the interface wants `setup` and the sweeper to be coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perdure.storage.lifetimes import checked_config
from perdure.storage.upkeep import KeepHistory
from perdure.store.base import Contract, TTLConfig
from perdure.store.encoding import codec_of
from perdure.store.postgres.base import Deserializer, PostgresFace, opener_of
from perdure.store.postgres.indexed import PostgresIndexConfig, checked_index, near_of
from perdure.store.swept_async import AsyncSweptStore

if TYPE_CHECKING:
    import psycopg

    from perdure.store.postgres.base import Given

__all__ = ["AsyncPostgresStore"]


class AsyncPostgresStore(PostgresFace, AsyncSweptStore):
    """Memory in Postgres, as `PostgresStore`; its blocking methods work as well, from any thread.

    Args:
        conn: as for `PostgresStore`. Nothing is awaited of it, so it need not belong to the running event loop.
        pipe: taken for compatibility; a commit is always sent in pipelines.
        deserializer: from the stored JSON (bytes) to the value, instead of ours.
        index: what of the items is found by words, and how; by default all texts of a value, in English.
        ttl: how long items live, as in `from_conn_string`.
        keep_history: which versions of items are kept, as in `from_conn_string`.
        indexes: paths of the values that have an index, as in `from_conn_string`.
        contracts: what items look like, as in `from_conn_string`.

    Raises:
        ValueError: this is no connection and no pool, or its parameters cannot be used.
        StorageError: the connection is closed; later, at first use: the database cannot be opened.
        PerdureError: an `index`, `ttl` or contract that cannot be right.
    """

    def __init__(
        self,
        conn: Given,
        *,
        pipe: psycopg.AsyncPipeline | None = None,
        deserializer: Deserializer | None = None,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        keep_history: KeepHistory | None = None,
        indexes: Sequence[str] = (),
        contracts: Sequence[Contract] | None = None,
    ) -> None:
        """On the connection's database."""
        del pipe
        lives = checked_config(ttl)
        codec = codec_of(checked_index(index), loads=deserializer, contracts=contracts)
        near = near_of(index, codec)
        super().__init__(
            opener_of(conn), codec, keep_history=keep_history, ttl=lives, indexes=indexes, near=near
        )
