"""A database, as the rest of Perdure knows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

from perdure.storage.contract.commit import Commit, Outcome
from perdure.storage.contract.items import ItemRow
from perdure.storage.contract.marks import Namespace, Revision
from perdure.storage.contract.removals import Scrubbed
from perdure.storage.contract.snapshot import Snapshot
from perdure.storage.path_ranges import PathRanges

__all__ = ["Again", "Backend", "GroupBackend", "PromptBackend"]


@runtime_checkable
class Backend(Protocol):
    """A database. Safe from any thread. Errors of the driver never cross this line (`StorageError` and below)."""

    @property
    def identity(self) -> str:
        """Equal for two backends on one database, however it was spelt."""
        ...

    def commit(self, commit: Commit, /) -> Revision:
        """All of `commit`, durably, or an error and nothing of it.

        Raises:
            StaleThread: a `HeadIs` does not hold.
            VersionConflict: an `ItemIs` does not hold; `keys` lists them.
            Unavailable: no answer in time; the message says whether it was written.
            StorageError: the database refused.
        """
        ...

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One outcome a commit, in order, as if each had been committed alone, at the price of about one."""
        ...

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Queues the commit and returns; `done(outcome)` is called once, from any thread (or before this returns)."""
        ...

    @property
    def inline(self) -> bool:
        """Whether every call answers at once: nothing is waited for, so an event loop may call it directly."""
        ...

    def joins(self, other: Backend, /) -> bool:
        """Whether `commit_with` can commit to `other` as well."""
        ...

    def commit_with(self, commit: Commit, other: Backend, others: Commit, /) -> Revision:
        """`commit` here and `others` there, both or neither. Raises StorageError where `joins` is false."""
        ...

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent snapshot: it sees all of a commit or nothing, and nothing that comes later."""
        ...

    def change_token(self) -> object:
        """Differs after any commit by anybody that this backend could see; cheap. Caches compare it."""
        ...

    def item(self, namespace: Namespace, key: str, /) -> ItemRow | None:
        """As `read().item`, for a single question: it costs no snapshot."""
        ...

    def declare_paths(self, paths: Sequence[PathRanges], /) -> None:
        """Listings that are preselected by one of these paths are fast from now on; the answers stay what they were.

        What is there already is indexed before it returns. A backend without indexes of paths does nothing.
        """
        ...

    def drop_paths(self, paths: Sequence[PathRanges], /) -> None:
        """Their indexes are gone, if there were any: writes cost less, such listings more."""
        ...

    def vacuum(self) -> None:
        """Gives free space back to the system, where there is any."""
        ...

    def scrub(self, wait_seconds: float, /) -> Scrubbed:
        """Nothing of what was deleted is left in any file of the database, or nothing of it that could be reached; it says which.

        Raises:
            Busy: for so long somebody read an older state. Nothing else is undone by that; call it again.
        """
        ...

    def close(self) -> None:
        """Waits for queued commits, then lets go. Again: nothing. Later calls raise StorageError."""
        ...

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        ...


class Again(Exception):
    """A prompt snapshot is not what it was taken for. Nobody but who asked for it ever sees this.

    Attributes:
        changed: it would have been, had nobody written; another prompt one is worth asking for.
    """

    def __init__(self, *, changed: bool = False) -> None:
        super().__init__()
        self.changed = changed


@runtime_checkable
class PromptBackend(Backend, Protocol):
    """A backend whose snapshots cost something to begin and to end."""

    def read_promptly(self) -> AbstractContextManager[Snapshot]:
        """As `read`, for whoever asks at once, and little: its moment is that of the first question.

        Any question, and the end of the block, may raise `Again`: what was answered is worth nothing then, and all of it is to
        be asked of `read()`.
        """
        ...


@runtime_checkable
class GroupBackend(Backend, Protocol):
    """A backend whose commits an event loop can gather and make on its own thread, while they are short."""

    def enqueue(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """As `commit_soon`, but nobody is called to work: the caller calls `lead_now` soon, once for all it queued."""
        ...

    def lead_now(self) -> bool:
        """Commits all that is queued, on the calling thread; the `done` of each is called before this returns.

        False: somebody else does it (another thread commits already, or recent commits took long, or another process
        holds the lock); then the `done` are called from there. Never waits for a lock.
        """
        ...
