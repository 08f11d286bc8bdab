"""A backend that fails, or kills its process, before or after the n-th commit.

Exhaustive beats random here: a step makes few commits, so run the program once, read `Faulty(db).commits`, then again with
each moment. Before: nothing was written. After: all was written, and the caller was not told: the unknown outcome.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Literal, NamedTuple

from perdure.errors import Conflict, StorageError, Unavailable
from perdure.storage.contract import (
    Backend,
    Commit,
    ItemRow,
    Namespace,
    Outcome,
    Revision,
    Scrubbed,
    Snapshot,
)
from perdure.storage.path_ranges import PathRanges

__all__ = ["Faulty", "Killed", "Moment", "Way"]

Way = Literal["raise", "die", "kill"]


class Killed(BaseException):
    """Stands for the death of the process: no `except Exception` survives it. Nothing works after it."""


class Moment(NamedTuple):
    """Before or after the `number`-th commit, counted from 1."""

    when: Literal["before", "after"]
    number: int

    def __str__(self) -> str:
        return f"{self.when} commit {self.number}"


class Faulty:
    """Any backend, counted, with one fault at one moment.

    Args:
        backend: what does the work.
        at: when; None: never, for counting.
        way: "raise": the commit raises Unavailable, later ones work. "die": it raises `Killed`, and so does everything
            after it. "kill": SIGKILL to this process.

    Attributes:
        commits: how many commits were asked for so far, members of groups counted one by one.
        fired: whether the moment has come.
    """

    moments: Final = tuple(Moment(when, number) for number in range(1, 9) for when in ("before", "after"))
    """For tests that take a handful: before and after each of the first eight commits."""

    def __init__(self, backend: Backend, at: Moment | None = None, way: Way = "raise") -> None:
        self._backend = backend
        self._at = at
        self._way: Way = way
        self._lock = threading.Lock()
        self.commits = 0
        self.fired = False

    def __repr__(self) -> str:
        fault = "no fault" if self._at is None else f"{self._way} {self._at}"
        return f"<Faulty {self._backend!r}: {self.commits} commits, {fault}, {'fired' if self.fired else 'waiting'}>"

    @staticmethod
    def moments_of(commits: int) -> tuple[Moment, ...]:
        """Every moment of a program that makes so many commits."""
        return tuple(Moment(when, number) for number in range(1, commits + 1) for when in ("before", "after"))

    @property
    def identity(self) -> str:
        """The backend's."""
        return self._backend.identity

    @property
    def closed(self) -> bool:
        """The backend's."""
        return self._backend.closed

    def _count(self) -> tuple[bool, bool]:
        """Counts one commit; whether the fault is before it, or after it."""
        with self._lock:
            if self.fired and self._way == "die":
                raise Killed("this process is dead")
            self.commits += 1
            if self._at is None or self._at.number != self.commits:
                return False, False
            return self._at.when == "before", self._at.when == "after"

    def _fail(self, *, written: bool) -> StorageError:
        self.fired = True
        if self._way == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._way == "die":
            raise Killed(str(self._at))
        known = False if not written else None
        return Unavailable(
            f"fault {self._at}: "
            + ("nothing was written." if not written else "whether it was written is unknown."),
            written=known,
            operation="commit",
        )

    def commit(self, commit: Commit, /) -> Revision:
        """Commits, unless the moment has come."""
        before, after = self._count()
        if before:
            raise self._fail(written=False)
        revision = self._backend.commit(commit)
        if after:
            raise self._fail(written=True)
        return revision

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One after another, so that each member can be the one."""
        outcomes: list[Outcome] = []
        for commit in commits:
            try:
                outcomes.append(self.commit(commit))
            except (Conflict, StorageError) as error:
                outcomes.append(error)
        return outcomes

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Queues with the backend, unless the moment has come."""
        before, after = self._count()
        if before:
            done(self._fail(written=False))
        elif after:
            outcome = self._backend.commit_group([commit])[0]
            done(outcome if isinstance(outcome, BaseException) else self._fail(written=True))
        else:
            self._backend.commit_soon(commit, done)

    @property
    def inline(self) -> bool:
        """The backend's."""
        return self._backend.inline

    def joins(self, other: Backend, /) -> bool:
        """The backend's."""
        return self._backend.joins(self._inside(other))

    def commit_with(self, commit: Commit, other: Backend, others: Commit, /) -> Revision:
        """Commits both, as one, unless the moment has come."""
        before, after = self._count()
        if before:
            raise self._fail(written=False)
        revision = self._backend.commit_with(commit, self._inside(other), others)
        if after:
            raise self._fail(written=True)
        return revision

    def read(self) -> AbstractContextManager[Snapshot]:
        """The backend's, while the process lives."""
        self._check_alive()
        return self._backend.read()

    def item(self, namespace: Namespace, key: str, /) -> ItemRow | None:
        """The backend's, while the process lives."""
        self._check_alive()
        return self._backend.item(namespace, key)

    def change_token(self) -> object:
        """The backend's, while the process lives."""
        self._check_alive()
        return self._backend.change_token()

    def declare_paths(self, paths: Sequence[PathRanges], /) -> None:
        """The backend's."""
        self._check_alive()
        self._backend.declare_paths(paths)

    def drop_paths(self, paths: Sequence[PathRanges], /) -> None:
        """The backend's."""
        self._check_alive()
        self._backend.drop_paths(paths)

    def vacuum(self) -> None:
        """The backend's."""
        self._check_alive()
        self._backend.vacuum()

    def scrub(self, wait_seconds: float, /) -> Scrubbed:
        """The backend's."""
        self._check_alive()
        return self._backend.scrub(wait_seconds)

    def close(self) -> None:
        """Closes the backend."""
        self._backend.close()

    def _check_alive(self) -> None:
        if self.fired and self._way == "die":
            raise Killed("this process is dead")

    @staticmethod
    def _inside(backend: Backend) -> Backend:
        return backend._backend if isinstance(backend, Faulty) else backend
