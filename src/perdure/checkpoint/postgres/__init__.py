"""Savers in Postgres: `PostgresSaver`, and `AsyncPostgresSaver` for programs that await everything.

Here: opening a database by URL, connection or pool. What a saver does is `checkpoint/face.py`'s.
"""

from perdure.checkpoint.postgres.aio import AsyncPostgresSaver
from perdure.checkpoint.postgres.base import PostgresSaver

__all__ = ["AsyncPostgresSaver", "PostgresSaver"]
