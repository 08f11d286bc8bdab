"""`AsyncPostgresSaver`: the Postgres saver, where the interface wants `setup` to be a coroutine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perdure.checkpoint.postgres.base import PostgresFace, Serde, opener_of

if TYPE_CHECKING:
    import psycopg

    from perdure.checkpoint.postgres.base import Given

__all__ = ["AsyncPostgresSaver"]


class AsyncPostgresSaver(PostgresFace):
    """Threads in Postgres, as `PostgresSaver`; its blocking methods work as well, from any thread.

    Args:
        conn: as for `PostgresSaver`. Nothing is awaited of it, so it need not belong to the running event loop.
        pipe: taken for compatibility; a commit is always sent in pipelines.
        serde: a serializer for the values, instead of Perdure's own codec.

    Raises:
        ValueError: this is no connection and no pool, or its parameters cannot be used.
        StorageError: the connection is closed; later, at first use: the database cannot be opened.
    """

    def __init__(
        self, conn: Given, pipe: psycopg.AsyncPipeline | None = None, serde: Serde | None = None
    ) -> None:
        """On the connection's database."""
        del pipe
        super().__init__(opener_of(conn), serde)

    async def setup(self) -> None:
        """The database is open and has its tables. Again: nothing; any number of processes may call it at once.

        A program that does not call it has the first use open the database: of a graph, when it is compiled, which keeps the
        event loop waiting for a moment.
        """
        await self._aside(self._backend)
