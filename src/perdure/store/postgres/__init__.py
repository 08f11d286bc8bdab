"""Stores in Postgres: `PostgresStore`, and `AsyncPostgresStore` for programs that await everything.

Here: opening a database by URL, connection or pool. What a store does is `store/face.py`'s and `storage/item_store.py`'s.
"""

from perdure.store.postgres.aio import AsyncPostgresStore
from perdure.store.postgres.base import PoolConfig, PostgresStore
from perdure.store.postgres.indexed import ANNIndexConfig, HNSWConfig, IVFFlatConfig, PostgresIndexConfig

__all__ = [
    "ANNIndexConfig",
    "AsyncPostgresStore",
    "HNSWConfig",
    "IVFFlatConfig",
    "PoolConfig",
    "PostgresIndexConfig",
    "PostgresStore",
]
