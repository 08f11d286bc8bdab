"""`PostgresStore`: memory in Postgres, for blocking and async callers alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypedDict, TypeVar

from perdure.current import CURRENT
from perdure.storage.aside import aside
from perdure.storage.contract import Backend
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_store import ItemStore
from perdure.storage.late_opening import LateOpening
from perdure.storage.lifetimes import checked_config
from perdure.storage.opened import Opened
from perdure.storage.preselect import declared_paths
from perdure.storage.staging import Operation
from perdure.storage.upkeep import KeepHistory, checked
from perdure.store.base import Contract, TTLConfig
from perdure.store.encoding import codec_of
from perdure.store.face import BackendStore, Opening
from perdure.store.postgres.indexed import PostgresIndexConfig, checked_index, near_of, tended
from perdure.store.swept import SweptStore

if TYPE_CHECKING:
    import psycopg
    import psycopg_pool

    from perdure.storage.postgres.near import Setting

    Given = (
        psycopg.Connection[Any]
        | psycopg.AsyncConnection[Any]
        | psycopg_pool.ConnectionPool[Any]
        | psycopg_pool.AsyncConnectionPool[Any]
        | str
    )

__all__ = ["PoolConfig", "PostgresFace", "PostgresStore"]

T = TypeVar("T")
Deserializer = Callable[[bytes], dict[str, Any]]


class PoolConfig(TypedDict, total=False):
    """The connections that a process has to the database.

    Attributes:
        min_size: idle ones that are kept.
        max_size: at most so many, 10 unless given.
        timeout: seconds that a caller waits for one, 30 unless given.
        max_idle: seconds after which an idle one is closed, 300 unless given.
        kwargs: further parameters of libpq.
    """

    min_size: int
    max_size: int | None
    timeout: float
    max_idle: float
    kwargs: dict[str, Any]


class PostgresFace(BackendStore):
    """What both Postgres stores have in common."""

    @classmethod
    def from_conn_string(
        cls,
        conn_string: str,
        *,
        pipeline: bool = False,
        pool_config: PoolConfig | None = None,
        index: PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        keep_history: KeepHistory | None = None,
        indexes: Sequence[str] = (),
        contracts: Sequence[Contract] | None = None,
    ) -> Opening[Self]:
        """A store on the database, to be used with `with` or `async with`; closed when the block ends.

        Args:
            conn_string: a URL, `postgresql://user@host/database?schema=...`, or pairs as libpq takes them; the options are
                in `docs/how-to/run-on-postgres.md`.
            pipeline: taken for compatibility; a commit is always sent in pipelines.
            pool_config: how many connections, and further parameters of libpq; they win over those of `conn_string`.
            index: what of the items is found by words, and how; by default all texts of a value, in English.
            ttl: how long items live; `{}`: for ever unless a put says otherwise; None: for ever, and `put(ttl=)` is refused.
            keep_history: which versions of items are kept (see `perdure.connect`), in the whole database, as long as this
                process says nothing else; None: as was said before, 30 days if nobody did.
            indexes: paths of the values that have an index from now on, for whoever has the database open: listings by them
                are fast. See `docs/reference/filters.md`.
            contracts: what items of some namespaces look like, looked at when they are put; None: whatever they like.

        Raises:
            ValueError: the URL, an option or `keep_history` cannot be right.
            StorageError: on entering: the database cannot be opened; the message says why and what to do.
            PerdureError: an `index`, `ttl` or contract that cannot be right.
        """
        del pipeline
        from perdure.storage.postgres.given import opened, place_with

        lives = checked_config(ttl)
        codec = codec_of(checked_index(index), contracts=contracts)
        kept = None if keep_history is None else checked(keep_history)
        declared_paths(indexes)
        near = near_of(index, codec)
        place = place_with(conn_string, pool_config)

        def make() -> Self:
            store = cls.__new__(cls)
            PostgresFace.__init__(
                store, lambda: opened(place), codec, keep_history=kept, ttl=lives, indexes=indexes, near=near
            )
            store._backend()
            return store

        return Opening(make)

    def __init__(
        self,
        opener: Callable[[], Opened],
        codec: ItemCodec,
        *,
        keep_history: KeepHistory | None = None,
        ttl: TTLConfig | None = None,
        indexes: Sequence[str] = (),
        near: Setting | None = None,
    ) -> None:
        """Over a backend that is opened at first use. `near`: how large namespaces' vectors are to be indexed."""
        self._near = near
        super().__init__(
            None,
            codec,
            keep_history=None if keep_history is None else checked(keep_history),
            ttl=ttl,
            indexes=indexes,
        )
        self._late = LateOpening(opener)

    def _backend(self) -> Backend:
        if self._opened is None and not self._closed:
            self._late.open(self._set)
        return super()._backend()

    def _set(self, opened: Opened) -> None:
        if self._closed:
            opened.let_go()
            return
        try:
            self._open(opened.backend)
        except BaseException:
            self._opened = None
            opened.let_go()
            raise
        self._let_go = opened.let_go
        if self._near is not None:
            stop = tended(opened.backend, self._codec, self._near)

            def let_go() -> None:
                stop()
                opened.let_go()

            self._let_go = let_go

    async def _ready(self) -> None:
        if self._opened is None and not self._closed:
            await aside(self._backend)

    async def _aside(self, work: Callable[[], T]) -> T:
        return await aside(work)

    async def _awrite(self, operations: list[Operation]) -> None:
        await self._ready()
        await super()._awrite(operations)

    def _here(self) -> ItemStore:
        if CURRENT.get() is not None:
            self._backend()  # whether the running task writes to this very database is known once it is open
        return super()._here()


class PostgresStore(PostgresFace, SweptStore):
    """Memory in Postgres. One object serves blocking and async callers, any thread, any event loop.

    The database is opened, and its tables are made or brought up to date, at first use or by `setup`. Other stores and
    savers on the same database and schema, however they name it, share one pool of ours and commit together with this one.

    Args:
        conn: a connection of psycopg 3, or a pool of psycopg_pool, blocking or not, open or not; or a URL. Its parameters
            (of a pool, the sizes as well) are what ours are opened with; it is otherwise left alone.
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
        pipe: psycopg.Pipeline | None = None,
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

    def setup(self) -> None:
        """The database is open and has its tables. Again: nothing; any number of processes may call it at once."""
        self._backend()


def opener_of(conn: Given) -> Callable[[], Opened]:
    """What opens the database of a connection or pool. Raises as `PostgresStore`."""
    from perdure.storage.postgres.given import opened, place_given

    place = place_given(conn)
    return lambda: opened(place)
