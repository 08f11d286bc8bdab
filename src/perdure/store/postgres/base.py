"""`PostgresStore`: memory in Postgres, for blocking and async callers alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, TypeVar, cast

from perdure.current import CURRENT
from perdure.errors import QueryError
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
from perdure.store.base import Contract, IndexConfig, TTLConfig
from perdure.store.encoding import codec_of
from perdure.store.face import BackendStore, Opening
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

__all__ = [
    "ANNIndexConfig",
    "HNSWConfig",
    "IVFFlatConfig",
    "PoolConfig",
    "PostgresFace",
    "PostgresIndexConfig",
    "PostgresStore",
]

_LARGEST = {"m": 100, "ef_construction": 1000, "nlist": 32768}  # as the extension has it

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


class ANNIndexConfig(TypedDict, total=False):
    """An index of large namespaces' vectors by the extension `vector`, for searches by meaning alone: `docs/reference/search.md`.

    Attributes:
        kind: of index, `"hnsw"` unless given; `"flat"`: none, vectors are compared exactly.
        vector_type: what the index is made of, half the bytes unless `"vector"`; scores are of the whole vectors all the same.
    """

    kind: Literal["hnsw", "ivfflat", "flat"]
    vector_type: Literal["vector", "halfvec", "bit"]


class HNSWConfig(ANNIndexConfig, total=False):
    """As `ANNIndexConfig`."""

    m: int
    ef_construction: int


class IVFFlatConfig(ANNIndexConfig, total=False):
    """As `ANNIndexConfig`."""

    nlist: int


class PostgresIndexConfig(IndexConfig, total=False):
    """As `IndexConfig`.

    Attributes:
        ann_index_config: an index of vectors; without it they are compared exactly.
        distance_type: another name of `distance`.
    """

    ann_index_config: ANNIndexConfig
    distance_type: Literal["l2", "inner_product", "cosine"]


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
            self._tend(opened, self._near)

    def _tend(self, opened: Opened, near: Setting) -> None:
        """Indexes of large namespaces are made and refreshed, as long as this is open."""
        from perdure.storage.postgres import PostgresBackend
        from perdure.storage.postgres.tending import Tending

        embedder, backend = self._codec.embedder, opened.backend
        if embedder is None or not isinstance(backend, PostgresBackend):
            return
        tending = Tending(backend, embedder.name, near)

        def let_go() -> None:
            tending.stop()
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


def near_of(index: PostgresIndexConfig | None, codec: ItemCodec) -> Setting | None:
    """How large namespaces' vectors are to be indexed; None: they are compared exactly."""
    from perdure.storage.postgres.near import setting_of  # psycopg may not be installed

    embedder = codec.embedder
    if index is None or embedder is None or codec.cipher is not None or "ann_index_config" not in index:
        return None
    found = setting_of(dict(index["ann_index_config"]), embedder.dims, embedder.distance)
    embedder.by_index = found is not None
    return found


def checked_index(index: PostgresIndexConfig | None) -> IndexConfig | None:
    """The configuration without what is the database's.

    Raises:
        QueryError: `ann_index_config` cannot be right.
    """
    if index is None or "ann_index_config" not in index:
        return index
    rest: dict[str, Any] = dict(index)
    asked: object = rest.pop("ann_index_config")
    given = cast("dict[object, object]", asked) if isinstance(asked, dict) else {"": asked}
    known = {"kind", "vector_type", "m", "ef_construction", "nlist"}
    if given.keys() - known or given.get("kind", "hnsw") not in ("hnsw", "ivfflat", "flat"):
        raise QueryError(
            f"index['ann_index_config']={asked!r}: a dict with kind ('hnsw', 'ivfflat', 'flat'), vector_type, m,"
            " ef_construction, nlist.",
            part="ann_index_config",
        )
    for name in ("m", "ef_construction", "nlist"):
        number = given.get(name, 1)
        if type(number) is not int or not 1 <= number <= _LARGEST[name]:
            raise QueryError(
                f"index['ann_index_config']: {name}={number!r}; give an integer from 1 to {_LARGEST[name]}.",
                part="ann_index_config",
            )
    return cast("IndexConfig", rest)
