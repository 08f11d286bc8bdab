"""What a database tells its operator, and how it is kept still for a moment: for tools, never for the engine.

A backend that can say none of this leaves it out; tools then say less (`isinstance(backend, Administered)`).
Here: the promises. Not here: what tools make of it (`perdure.admin`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from perdure.storage.contract.items import Embedded
from perdure.storage.contract.marks import Chained, Namespace

__all__ = ["About", "Administered", "Largest", "ReplicaStatus", "SpaceSize", "TableSize", "ThreadSize"]


@dataclass(frozen=True, slots=True)
class ReplicaStatus:
    """A read replica, as it stands beside its primary.

    Attributes:
        where: its address, without a password.
        follows: whether it is a replica of this very database; None: it does not answer.
        bytes_behind: of the primary's log that it has not replayed; None: not known.
        seconds_behind: age of the oldest commit that is newer than all it shows; 0: it lacks none; None: not known.
        note: what else there is to say: why it does not answer, that its replay is paused.
    """

    where: str
    follows: bool | None
    bytes_behind: int | None = None
    seconds_behind: float | None = None
    note: str = ""


class About(NamedTuple):
    """A database and the engine that keeps it."""

    kind: str  # memory | sqlite | postgres
    where: str  # a path or an address, never with a password
    engine: str  # name and version of what keeps the rows
    schema: int  # number of the newest migration applied; 0: there are none
    facts: tuple[tuple[str, str], ...] = ()  # what else an operator asks of this kind: (name, value)
    replicas: tuple[ReplicaStatus, ...] = ()  # those that answer its reads, one by one


class TableSize(NamedTuple):
    """A table by its name in `Snapshot.count`, or "other" for all the rest."""

    name: str
    rows: int
    bytes: int | None  # with its indexes; None: this database cannot tell


class ThreadSize(NamedTuple):
    """How much of a thread is kept."""

    thread: str
    checkpoints: int
    bytes: int  # of its values and metadata


class SpaceSize(NamedTuple):
    """How much of a namespace is kept, without those below it."""

    namespace: Namespace
    items: int  # that nobody has deleted, swept or not
    versions: int
    bytes: int  # of the values of all versions


class Largest(NamedTuple):
    """Where most bytes are, greatest first."""

    threads: list[ThreadSize]
    namespaces: list[SpaceSize]


@runtime_checkable
class Administered(Protocol):
    """Safe from any thread. Raises StorageError as every backend does."""

    def about(self) -> About:
        """What it is. Reads a few pages."""
        ...

    def sizes(self) -> list[TableSize]:
        """Every table that `Snapshot.count` knows, and "other". Reads the whole database where bytes are told."""
        ...

    def largest(self, limit: int, /) -> Largest:
        """The `limit` threads and namespaces with most bytes. Reads the length of every value, not the values."""
        ...

    def faults(self, *, quick: bool) -> list[str]:
        """What the database itself finds wrong with its files, tables and indexes; empty: nothing.

        `quick` leaves the comparison of tables with their indexes out. Others can read and write meanwhile.
        """
        ...

    def strays(self, limit: int, /) -> list[Chained]:
        """Checkpoints that are not there and have pending writes or staged memory, at most `limit`, in order."""
        ...

    def embedded(self, places: Sequence[tuple[Namespace, str]], /) -> Mapping[
        tuple[Namespace, str], tuple[int, Embedded]
    ]:  # fmt: skip
        """The version and the vectors of each live item among these that has any, or owes them (`OWED`)."""
        ...

    def hold(self, wait_seconds: float, /) -> AbstractContextManager[None]:
        """Until the block ends nobody commits, in this process or another; others can read, except of plain dicts.

        Writers wait as long as they wait for any lock, then fail as they do then, with nothing written. Inside the block
        its own thread must not commit here.

        Raises:
            Busy: somebody else wrote for so long.
        """
        ...
