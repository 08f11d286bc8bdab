"""Stores in SQLite: `SqliteStore`, and `AsyncSqliteStore` for programs that await everything.

Here: opening a database by path or connection. What a store does is `store/face.py`'s and `storage/item_store.py`'s.
"""

from perdure.store.sqlite.aio import AsyncSqliteStore
from perdure.store.sqlite.base import SqliteIndexConfig, SqliteStore

__all__ = ["AsyncSqliteStore", "SqliteIndexConfig", "SqliteStore"]
