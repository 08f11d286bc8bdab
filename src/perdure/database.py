"""One database for everything that is kept: `connect` opens it, `Database` has its saver and its store.

Here: URLs and options. Not here: the faces (`checkpoint`, `store`), the databases themselves (`storage`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import TYPE_CHECKING
from urllib.parse import unquote

from perdure.errors import PerdureError
from perdure.storage.contracts.book import Contracts, contracts_of
from perdure.storage.keycheck import check_key
from perdure.storage.lifetimes import checked_config
from perdure.storage.preselect import declared_paths
from perdure.storage.upkeep import HISTORY, KeepHistory, checked, keep

if TYPE_CHECKING:
    from perdure.checkpoint.face import BackendSaver
    from perdure.codec import Cipher
    from perdure.storage.contract import Backend
    from perdure.store.base import Contract, IndexConfig, TTLConfig
    from perdure.store.postgres import PostgresIndexConfig
    from perdure.store.swept import SweptStore

__all__ = ["Database", "connect", "file_of", "is_postgres", "name_of", "open_url"]


def connect(
    url: str = "sqlite:///perdure.db",
    *,
    encryption: Cipher | bytes | str | None = None,
    keep_history: KeepHistory = HISTORY,
    index: IndexConfig | PostgresIndexConfig | None = None,
    ttl: TTLConfig | None = None,
    indexes: Sequence[str] = (),
    contracts: Sequence[Contract] | None = None,
    plaintext: Sequence[str] | None = None,
    read: str | None = None,
) -> Database:
    """The database at `url`, opened or made: pass it to `compile`, and threads and memory commit together.

    Args:
        url: `sqlite:///agent.db` (relative to the working directory), `sqlite:////var/lib/agent.db` (absolute),
            `sqlite:///:memory:`, `memory://` (plain objects of this process), or `postgresql://user@host/database?schema=...`
            (`docs/how-to/run-on-postgres.md` has the options).
        encryption: a 32-byte key (raw or base64), or a `perdure.codec.Cipher`: values are sealed with AES-GCM. Names,
            keys and namespaces stay readable. The same key must be given every time: with another, or with none, an
            encrypted database is refused, and so is a plain one that has data with a key.
        keep_history: which versions of items are kept for `history`, `at`, `diff`, `blame` and `revert`: a `timedelta`
            after they were replaced or deleted; or a number, the newest so many of each item; or `"all"`. Older ones are
            pruned now and then after writes, a small batch at a time.
        index: what of the items is found by words and by meaning, and how (`docs/reference/search.md`); by default all texts of
            a value, in English. An encrypted database has no such index. Its `ann_index_config` is for databases on Postgres;
            elsewhere vectors are compared exactly.
        indexes: paths of the values by which listings with a filter are fast, e.g. `["status", "user.age"]`; see
            `docs/reference/filters.md`. They stay until they are dropped, whoever opens the database. In memory
            nothing is indexed: the answers are the same.
        ttl: how long items live: `{"default_ttl": minutes, "refresh_on_read": bool, "sweep_interval_minutes": minutes}`, each
            of which may be left out; `{}`: for ever unless a put says otherwise. None: for ever, and `put(ttl=)` is refused.
        contracts: what items of some namespaces look like (`perdure.Contract`), looked at when they are put; older ones are
            brought up to date when they are read. None: items look as they like.
        plaintext: of an encrypted database: paths of values whose words (and vectors, with a model) are kept readable, so that
            `search(query=)` finds by them, e.g. `["title", "tags[*]"]`. What that tells a reader of the file:
            `docs/how-to/encrypt.md`. None: nothing is found by words.
        read: of a database on Postgres: the URL of its replicas, which answer histories, listings and searches outside of graphs, as
            of a moment ago but with all that this process wrote. `read_host=` in `url` says the same where only the host is
            another. None: the primary answers all.

    Raises:
        ValueError: the URL or `keep_history` cannot be right.
        TypeError: the URL is no string, or `encryption` neither key nor cipher.
        PerdureError: the scheme or an option is not supported (yet), or `index["ann_index_config"]` cannot be right.
        StorageError: the file cannot be opened, is no database, was written by a newer Perdure, or the key is not its.

    Opening one file twice in a process gives two handles on one database, however its path is spelt. Use it with
    `with`, or call `close()`.
    """
    kept, lives = checked(keep_history), checked_config(ttl)
    agreed = contracts_of(contracts)
    _without_near(index)
    cipher = _cipher(encryption)
    if plaintext is not None:
        from perdure.store.encoding import checked_plaintext

        plaintext = checked_plaintext(plaintext, encrypted=cipher is not None)
    declared = declared_paths(indexes)
    if declared and cipher is not None:
        raise PerdureError(
            "indexes= beside encryption=: what is sealed cannot be indexed. Nothing was opened."
        )
    backend, name = _open(url, read)
    try:
        check_key(backend, cipher, name)
        if declared:
            backend.declare_paths(declared)
    except BaseException:
        backend.close()
        raise
    return Database(
        url,
        backend,
        name=name,
        cipher=cipher,
        keep_history=kept,
        index=index,
        ttl=lives,
        contracts=agreed,
        plaintext=plaintext,
    )


def _nothing() -> None:
    """Done."""


def _without_near(index: IndexConfig | PostgresIndexConfig | None) -> IndexConfig | None:
    """What every database may be asked for. Raises QueryError where the index of vectors cannot be right."""
    if not isinstance(index, dict) or "ann_index_config" not in index:
        return index
    from perdure.store.postgres.indexed import checked_index

    return checked_index(index)


def _cipher(encryption: Cipher | bytes | str | None) -> Cipher | None:
    if encryption is None:
        return None
    if isinstance(encryption, (bytes, str)):
        from perdure.codec import AesGcm

        return AesGcm(encryption)
    if not all(hasattr(encryption, name) for name in ("key_id", "seal", "open")):
        raise TypeError(
            f"encryption is a {type(encryption).__name__}: give a 32-byte key (raw or base64), or a perdure.codec.Cipher."
            " Nothing was opened."
        )
    return encryption


def open_url(url: str, read: str | None = None) -> Backend:
    """The database itself, whatever key it has. Raises as `connect`."""
    return _open(url, read)[0]


def _open(url: str, read: str | None = None) -> tuple[Backend, str]:
    """The backend, and what messages call it: a URL without a password."""
    if not isinstance(url, str):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        name = url if isinstance(url, PurePath) else "agent.db"
        raise TypeError(f"url={url!r}: give a URL, a string such as 'sqlite:///{name}'. Nothing was opened.")
    scheme, found, rest = url.partition("://")
    if is_postgres(url):
        return _open_postgres(url, read)
    if read is not None:
        raise ValueError("read= names replicas, which databases on Postgres have. Nothing was opened.")
    if not found:
        shown = url if "=" not in url else "FILE"  # pairs for Postgres may have a password among them
        raise ValueError(
            f"{shown!r} is not a URL. For a file write 'sqlite:///{shown}', for memory 'memory://', for Postgres"
            " 'postgresql://USER@HOST/DATABASE'."
        )
    if scheme == "memory":
        if rest not in ("", "/"):
            raise ValueError(f"{url!r}: a memory database has no name or path; write 'memory://'.")
        from perdure.storage.memory import MemoryBackend

        return MemoryBackend(), url
    if scheme == "sqlite":
        from perdure.storage.sqlite import SqliteBackend, open_backend

        path = _path_in(url, rest)
        return (SqliteBackend(None) if path is None else open_backend(path)), url
    raise PerdureError(
        f"the scheme {scheme!r} is not known. Known: 'sqlite:///FILE', 'postgresql://USER@HOST/DATABASE' and 'memory://'."
    )


def _open_postgres(url: str, read: str | None) -> tuple[Backend, str]:
    from perdure.storage.postgres import open_backend
    from perdure.storage.postgres.place import place_of, with_replicas

    place = place_of(url)
    if read is not None:
        place = with_replicas(place, read)
    return open_backend(place), place.name


def is_postgres(url: str) -> bool:
    """Whether the URL names a Postgres database."""
    return url.partition("://")[0] in ("postgres", "postgresql") and "://" in url


def name_of(url: str) -> str:
    """What messages call the database: the URL without a password.

    Raises:
        ValueError: of a URL of Postgres that cannot be right.
    """
    if not is_postgres(url):
        return url
    from perdure.storage.postgres.place import place_of

    return place_of(url).name


def file_of(url: str) -> str | None:
    """The path of the file that the URL names; None: it names no file. Raises ValueError for a URL of SQLite that is none."""
    scheme, found, rest = url.partition("://")
    return _path_in(url, rest) if found and scheme == "sqlite" else None


def _path_in(url: str, rest: str) -> str | None:
    """The file; None: memory."""
    path, asked, options = rest.partition("?")
    if asked and options:
        raise PerdureError(f"options in the URL are not supported: {options!r}. Nothing was opened.")
    if not path.startswith("/") or len(path) == 1:
        raise ValueError(
            f"{url!r} names no file: write 'sqlite:///agent.db', with three slashes (four for an absolute path)."
        )
    name = unquote(path[1:])
    return None if name == ":memory:" else name


class Database:
    """A database with its two faces. Safe from any thread and any event loop.

    Attributes:
        url: as it was given; may have a password.
        name: the same, for people: it has none.
        backend: the database itself.
    """

    def __init__(
        self,
        url: str,
        backend: Backend,
        *,
        name: str | None = None,
        cipher: Cipher | None,
        keep_history: KeepHistory,
        index: IndexConfig | PostgresIndexConfig | None = None,
        ttl: TTLConfig | None = None,
        contracts: Contracts | None = None,
        plaintext: Sequence[str] | None = None,
    ) -> None:
        """Over an open backend, which `close` closes."""
        self.url = url
        self.name = url if name is None else name
        self.backend = backend
        self.keep_history = keep_history
        keep(backend, keep_history)
        self._cipher = cipher
        self._index = index
        self._ttl = ttl
        self._contracts = contracts
        self._plaintext = plaintext
        self._closed = False
        self._saver: BackendSaver | None = None
        self._stores: dict[str, SweptStore] = {}  # one, once it was asked for
        self._stop_tending: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        """Where it is, and how it is doing."""
        return f"<Database {self.name} {self.backend!r}>"

    @property
    def __perdure_database__(self) -> Database:
        """What `compile` looks for."""
        return self

    @property
    def checkpointer(self) -> BackendSaver:
        """The saver: threads."""
        if self._saver is None:
            from perdure.checkpoint.face import BackendSaver
            from perdure.codec import DEFAULT, Codec
            from perdure.codec.own import register_own

            registry = DEFAULT.child()
            register_own(registry)
            self._saver = BackendSaver(self.backend, Codec(registry, cipher=self._cipher))
        return self._saver

    @property
    def store(self) -> SweptStore:
        """The store: memory across threads."""
        found = self._stores.get("store")
        return self._made_store() if found is None else found

    def _made_store(self) -> SweptStore:
        from perdure.store.encoding import codec_of
        from perdure.store.swept import SweptStore

        index = _without_near(self._index)
        codec = codec_of(index, self._cipher, contracts=self._contracts, plaintext=self._plaintext)
        made = SweptStore(self.backend, codec, ttl=self._ttl)
        kept = self._stores.setdefault(
            "store", made
        )  # of several threads one is first; a lock would outlive a fork
        if kept is made and index is not self._index and is_postgres(self.url):
            from perdure.store.postgres.indexed import near_of, tended

            self._stop_tending = tended(self.backend, codec, near_of(self._index, codec))
        return kept

    def threads(self, *, after: str | None = None, limit: int = 100) -> list[str]:
        """Ids of threads in the order of their UTF-8 bytes, from behind `after`."""
        with self.backend.read() as snapshot:
            return snapshot.threads(after, limit)

    def vacuum(self) -> None:
        """Free space goes back to the system. Writers wait meanwhile."""
        self.backend.vacuum()

    def drop_indexes(self, paths: Sequence[str]) -> None:
        """The indexes that were declared for these paths are gone, for everybody who has the database open.

        Raises:
            QueryError: something in the list is no path.
        """
        self.backend.drop_paths(declared_paths(paths))

    def replace_backend(self, backend: Backend) -> None:
        """The faces work through `backend` from now on: for tests, before anything is compiled with this database."""
        self._stop_tending()
        self._stop_tending = _nothing
        self.backend = backend
        self._saver = None
        self._stores.clear()

    def close(self) -> None:
        """Waits for what is queued, then lets go. Again: nothing."""
        if not self._closed:
            self._closed = True
            for store in list(self._stores.values()):
                store.close()
            self._stop_tending()
            self.backend.close()

    def __enter__(self) -> Database:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()

    async def __aenter__(self) -> Database:
        """Itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Closes."""
        self.close()
