"""What a database is and how it stands, whether its schema is up to date or not. Nothing is changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from perdure.database import file_of, is_postgres, name_of, open_url
from perdure.storage.contract import Administered, Backend, ReplicaStatus
from perdure.storage.keycheck import key_of

__all__ = ["Status", "due", "status"]


@dataclass(frozen=True, slots=True)
class Status:
    """A database, as its operator asks.

    Attributes:
        url: as it was given, without a password.
        kind: `memory`, `sqlite`, ...
        where: path or address.
        engine: name and version of what keeps the rows.
        schema: number of its newest migration; 0: none.
        due: migrations that it lacks, as `NNNN_name`; while there are any, what follows is not known and None.
        revision: of its newest commit.
        floor: of older revisions deleted items may be gone without a trace; `store.at` refuses them.
        encrypted: the id of the key that seals its values; None: they are not sealed.
        facts: what else there is to know of this kind of database.
        replicas: those of its URL that answer reads, each with how far it is behind.
    """

    url: str
    kind: str
    where: str
    engine: str
    schema: int
    due: tuple[str, ...] = ()
    revision: str | None = None
    floor: str | None = None
    encrypted: str | None = None
    facts: dict[str, str] = field(default_factory=dict[str, str])
    replicas: tuple[ReplicaStatus, ...] = ()


def due(url: str) -> tuple[int, tuple[str, ...]]:
    """The number of the newest migration that the database has, and the names of those it lacks, in order.

    Raises:
        SchemaTooNew: written by a newer Perdure. It was not touched.
        StorageError: there is no such file or database, it is no database, or it cannot be reached.
        ValueError: no URL.
    """
    path = file_of(url)
    if is_postgres(url):
        from perdure.storage import postgres

        number, steps = postgres.due(url)
    elif path is not None:
        from perdure.storage import sqlite

        number, steps = sqlite.due(path)
    else:  # what lives in a process is always up to date
        return 0, ()
    return number, tuple(f"{step.number:04}_{step.name}" for step in steps)


def status(url: str, *, read: str | None = None) -> Status:
    """How the database at `url` stands; it needs no key. One of an older schema, or of none, is left as it is.

    Args:
        url: as `connect` takes it. Replicas that it names are asked, too, each by itself; one that does not answer is told of.
        read: a URL of replicas, as `connect` takes it.

    Raises:
        SchemaTooNew: as `due`; so are StorageError and ValueError.
    """
    number, lacking = due(url)
    if lacking:
        path = file_of(url)
        if path is None:
            return Status(name_of(url), "postgres", name_of(url), "PostgreSQL", number, lacking)
        return Status(url, "sqlite", path, "SQLite", number, lacking)
    backend = open_url(url, read)
    try:
        return _standing(name_of(url), backend)
    finally:
        backend.close()


def _standing(url: str, backend: Backend) -> Status:
    with backend.read() as now:
        revision, floor, key = str(now.revision()), str(now.floor()), key_of(now)
    if not isinstance(backend, Administered):
        kind = url.partition("://")[0]
        return Status(url, kind, backend.identity, "", 0, (), revision, floor, key)
    known = backend.about()
    facts = dict(known.facts)
    return Status(
        url,
        known.kind,
        known.where,
        known.engine,
        known.schema,
        (),
        revision,
        floor,
        key,
        facts,
        known.replicas,
    )
