"""Savers in SQLite: `SqliteSaver`, and `AsyncSqliteSaver` for programs that await everything.

Here: opening a database by path or connection. What a saver does is `checkpoint/face.py`'s.
"""

from perdure.checkpoint.sqlite.aio import AsyncSqliteSaver
from perdure.checkpoint.sqlite.base import SqliteSaver

__all__ = ["AsyncSqliteSaver", "SqliteSaver"]
