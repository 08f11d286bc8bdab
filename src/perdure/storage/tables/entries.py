"""What stands in the queue of a group commit: callers with their commits, and the right to commit them.

Here: `Entry`, `Lead`, and `Work`, which a database does for whoever leads. Not here: who leads (`group.py`, `lanes.py`).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

from perdure.storage.contract import Outcome

__all__ = ["Entry", "Lead", "Told", "Work", "tell"]

_M = TypeVar("_M")
_M_contra = TypeVar("_M_contra", contravariant=True)

Told: TypeAlias = tuple[Callable[[Outcome], Any], Outcome]
"""Who is told, and what."""

_NOTHING: Final[tuple[()]] = ()

log = logging.getLogger("perdure.storage")


class Work(Protocol[_M_contra]):
    """What the leader calls: never two at once, from any thread."""

    def write(self, members: Sequence[_M_contra], outcomes: list[Outcome], *, wait: bool) -> bool:
        """Fills in one outcome a member. False, and nothing done: `wait` is False and it would have to wait.

        May raise only what is no error of a member (KeyboardInterrupt); then `outcomes` is empty or complete.
        """
        ...

    def tidy(self) -> bool:
        """Does what may be done between groups."""
        ...

    def untidy(self) -> bool:
        """Whether `tidy` has something to do."""
        ...


class Lead(Generic[_M]):
    """The right to commit a group, and what is under way by it.

    Attributes:
        units: what is under way, by callers; empty until it has begun.
        began: when it did, by `clock.monotonic`.
        names: what it touches, once somebody asked.
        waits: for what another transaction has locked, as long as that takes.
        helper: who leads, where it is no caller.
    """

    __slots__ = ("began", "helper", "names", "units", "waits")

    def __init__(self, units: Sequence[Sequence[_M]] = _NOTHING, *, waits: bool = False) -> None:
        self.units = units
        self.began = 0.0
        self.names: frozenset[bytes] = frozenset()
        self.waits = waits
        self.helper: threading.Thread | None = None


class Entry(Generic[_M]):
    """Commits of one caller, who sleeps on `waiter`, or is told through `done`.

    Attributes:
        members: those that are not decided.
        before: outcomes of those that are.
        outcomes: of all, once they are known.
        lead: the caller's, who is awake.
        names: what the members touch, once somebody asked.
        since: when something of it was found locked first; 0: never.
        tries: how often it was.
        due: it is not tried again before.
        gone: a signal took the caller; nobody waits for the outcomes.
    """

    __slots__ = (
        "before",
        "done",
        "due",
        "gone",
        "lead",
        "members",
        "names",
        "outcomes",
        "since",
        "tries",
        "waiter",
    )

    def __init__(self, members: Sequence[_M], done: Callable[[Outcome], Any] | None = None) -> None:
        self.members = members
        self.done = done
        self.outcomes: list[Outcome] | None = None
        self.waiter: threading.Lock | None = None
        self.lead: Lead[_M] | None = None
        self.before: Sequence[Outcome] = _NOTHING
        self.names: frozenset[bytes] | None = None
        self.since = 0.0
        self.tries = 0
        self.due = 0.0
        self.gone = False

    def sleeps(self) -> None:
        """From now on the caller waits to be woken. Called with the queue's lock held."""
        if self.waiter is None:
            waiter = threading.Lock()
            waiter.acquire()
            self.waiter = waiter

    def wake(self) -> None:
        """The caller, if it sleeps, looks what there is. It may have been woken already, and not have looked yet."""
        if self.waiter is not None and self.waiter.locked():
            self.waiter.release()


def tell(told: Sequence[Told]) -> None:
    """Calls them all: one caller's mistake does not keep the others from being told."""
    for done, outcome in told:
        try:
            done(outcome)
        except Exception:
            log.exception("a callback of commit_soon failed")
