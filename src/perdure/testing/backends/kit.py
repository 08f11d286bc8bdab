"""The words of the checks: rows in short, a fresh backend."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from itertools import count
from typing import Any, Final, TypeAlias

from perdure import clock
from perdure.storage.contract import Backend, CheckpointRow, Commit, Namespace, Origin, PutItem, WriteRow

Make: TypeAlias = Callable[[], Backend]

NOTES: Final = ("users", "ada", "notes")
_moments = count(1_700_000_000_000_000)


def commit_of(at: int | None = None, **rows: Any) -> Commit:
    """A commit with a fresh id, at the next microsecond."""
    return Commit(clock.uuid6().bytes, next(_moments) if at is None else at, **rows)


def checkpoint_of(
    thread: str,
    id: str,
    parent: str | None = None,
    *,
    ns: str = "",
    parent_ns: str | None = None,
    step: int = 0,
    source: str = "loop",
    at: int = 5,
    run: str | None = None,
    whole: bool = True,
    state: bytes = b"state",
    metadata: bytes | None = None,
) -> CheckpointRow:
    """A checkpoint whose parent is in the same namespace, unless `parent_ns` says otherwise."""
    above = None if parent is None else ns if parent_ns is None else parent_ns
    return CheckpointRow(thread, ns, id, above, parent, step, source, at, run, whole, state, metadata)


def write_of(
    thread: str, id: str, task: str, index: int, payload: bytes, ns: str = "", path: str = "p"
) -> WriteRow:
    """A pending write."""
    return WriteRow(thread, ns, id, task, index, path, "channel", payload)


def put_of(
    key: str, value: bytes | None, namespace: Namespace = NOTES, origin: Origin | None = None
) -> PutItem:
    """A new version of an item."""
    return PutItem(namespace, key, value, origin or Origin())


@contextmanager
def opened(make: Make) -> Generator[Backend]:
    """A fresh backend, closed at the end."""
    backend = make()
    try:
        yield backend
    finally:
        backend.close()


def without_revision(row: CheckpointRow | None) -> CheckpointRow | None:
    """The row as it was given to a commit."""
    return None if row is None else row._replace(revision=None)
