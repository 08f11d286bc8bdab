"""`PostgresSaver`: threads in Postgres, for blocking and async callers alike."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, Self, TypeVar

from perdure.checkpoint.face import BackendSaver
from perdure.checkpoint.opening import Opening
from perdure.checkpoint.serde.base import SerializerProtocol, UntypedSerializerProtocol
from perdure.storage.aside import aside
from perdure.storage.contract import Backend
from perdure.storage.late_opening import LateOpening
from perdure.storage.opened import Opened

if TYPE_CHECKING:
    import psycopg
    import psycopg_pool

    Given = (
        psycopg.Connection[Any]
        | psycopg.AsyncConnection[Any]
        | psycopg_pool.ConnectionPool[Any]
        | psycopg_pool.AsyncConnectionPool[Any]
        | str
    )

__all__ = ["PostgresFace", "PostgresSaver", "opener_of"]

T = TypeVar("T")
Serde = SerializerProtocol | UntypedSerializerProtocol


class PostgresFace(BackendSaver):
    """What both Postgres savers have in common."""

    @classmethod
    def from_conn_string(
        cls, conn_string: str, *, pipeline: bool = False, serde: Serde | None = None
    ) -> Opening[Self]:
        """A saver on the database, to be used with `with` or `async with`; closed when the block ends.

        Args:
            conn_string: a URL, `postgresql://user@host/database?schema=...`, or pairs as libpq takes them; the options are
                in `docs/how-to/run-on-postgres.md`.
            pipeline: taken for compatibility; a commit is always sent in pipelines.
            serde: a serializer for the values, instead of Perdure's own codec.

        Raises:
            ValueError: the URL or an option cannot be right.
            StorageError: on entering: the database cannot be opened; the message says why and what to do.
        """
        del pipeline
        from perdure.storage.postgres.given import opened, place_with

        place = place_with(conn_string)

        def make() -> Self:
            saver = cls.__new__(cls)
            PostgresFace.__init__(saver, lambda: opened(place), serde)
            saver._backend()
            return saver

        return Opening(make)

    def __init__(self, opener: Callable[[], Opened], serde: Serde | None = None) -> None:
        """Over a backend that is opened at first use."""
        super().__init__(None, serde=serde)
        self._late = LateOpening(opener)

    def with_allowlist(self, extra_allowlist: Collection[Any]) -> Self:
        """A saver over the same data that may also build these types."""
        made = super().with_allowlist(extra_allowlist)
        made._late = LateOpening(lambda: Opened(self._backend(), lambda: None))
        return made

    def _backend(self) -> Backend:
        if self._opened is None and not self._closed:
            self._late.open(self._set)
        return super()._backend()

    def _set(self, opened: Opened) -> None:
        if self._closed:
            opened.let_go()
        else:
            self._let_go, self._opened = opened.let_go, opened.backend

    async def _aside(self, work: Callable[[], T]) -> T:
        return await aside(work)


def opener_of(conn: Given) -> Callable[[], Opened]:
    """What opens the database of a connection or pool. Raises as `PostgresSaver`."""
    from perdure.storage.postgres.given import opened, place_given

    place = place_given(conn)
    return lambda: opened(place)


class PostgresSaver(PostgresFace):
    """Threads in Postgres. One object serves blocking and async callers, any thread, any event loop.

    The database is opened, and its tables are made or brought up to date, at first use or by `setup`. Other savers and
    stores on the same database and schema, however they name it, share one pool of ours and commit together with this one.

    Args:
        conn: a connection of psycopg 3, or a pool of psycopg_pool, blocking or not, open or not; or a URL. Its parameters
            (of a pool, the sizes as well) are what ours are opened with; it is otherwise left alone.
        pipe: taken for compatibility; a commit is always sent in pipelines.
        serde: a serializer for the values, instead of Perdure's own codec.

    Raises:
        ValueError: this is no connection and no pool, or its parameters cannot be used.
        StorageError: the connection is closed; later, at first use: the database cannot be opened.
    """

    def __init__(self, conn: Given, pipe: psycopg.Pipeline | None = None, serde: Serde | None = None) -> None:
        """On the connection's database."""
        del pipe
        super().__init__(opener_of(conn), serde)

    def setup(self) -> None:
        """The database is open and has its tables. Again: nothing; any number of processes may call it at once."""
        self._backend()
