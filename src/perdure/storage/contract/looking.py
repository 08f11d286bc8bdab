"""Questions to one snapshot that is taken for them alone: of a moment ago, or of the present.

Here: `looked` for what may be answered of a moment ago: histories, listings, searches, outside of tasks; `asked` for the rest, such as
what a commit is built on, and whatever is asked in a task. Both let a backend save what a snapshot costs to begin and to end. Not
here: blocks whose moment is to be that in which they begin, which are `Backend.read`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, runtime_checkable

from perdure.current import CURRENT
from perdure.storage.contract.backend import Backend
from perdure.storage.contract.marks import Revision
from perdure.storage.contract.snapshot import Snapshot

__all__ = ["AskedBackend", "Replicated", "asked", "looked"]

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


@runtime_checkable
class AskedBackend(Backend, Protocol):
    """A backend whose snapshots cost something to begin and to end."""

    def ask(self, question: Callable[[Snapshot], T], /) -> T:
        """The answer of one snapshot of the present, taken between this call and the first thing that the question asks.

        Args:
            question: changes nothing. It is asked once.
        """
        ...


def looked(backend: Backend, question: Callable[[Snapshot], T], revision: Revision | None = None) -> T:
    """The answer of one snapshot, which may be a little old where the backend has replicas and this is no task. See `Replicated.look`."""
    look = getattr(backend, "look", None)
    if look is not None and CURRENT.get() is None:
        return look(question, revision)
    return asked(backend, question)


def asked(backend: Backend, question: Callable[[Snapshot], T]) -> T:
    """The answer of one snapshot of the present, taken between this call and the first thing that the question asks."""
    ask = getattr(backend, "ask", None)
    if ask is not None:
        return ask(question)
    with backend.read() as snapshot:
        return question(snapshot)
