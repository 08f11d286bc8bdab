"""Questions that may be answered of a moment ago: histories, listings, searches, outside of tasks.

Here: `looked`, what asks them. Not here: questions whose answer a commit is built on, which ask `Backend.read`; whatever is asked in a
task is one of these.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from perdure.current import CURRENT
from perdure.storage.contract.backend import Backend
from perdure.storage.contract.marks import Revision
from perdure.storage.contract.snapshot import Snapshot

__all__ = ["Replicated", "looked"]

T = TypeVar("T")


@runtime_checkable
class Replicated(Backend, Protocol):
    """A backend that may have others answer for it."""

    def look(self, question: Callable[[Snapshot], T], revision: Revision | None = None, /) -> T:
        """The answer of one snapshot, as of now or a moment ago, but never before this process' own last commit.

        Args:
            question: changes nothing; may be asked twice, of different snapshots. The last answer counts.
            revision: of a view of the past, which `revision_of` has taken: all up to there is seen.
        """
        ...


def looked(backend: Backend, question: Callable[[Snapshot], T], revision: Revision | None = None) -> T:
    """The answer of one snapshot, which may be a little old where the backend has replicas and this is no task. See `Replicated.look`."""
    look = getattr(backend, "look", None)
    if look is not None and CURRENT.get() is None:
        return look(question, revision)
    with backend.read() as snapshot:
        return question(snapshot)
