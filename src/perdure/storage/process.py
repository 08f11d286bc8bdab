"""What this process has open: forks and the end of the program reach every database through here.

`os.fork` copies connections that must not be used, nor closed, on the other side. A child that opens its own SQLite
connections beside inherited ones lost four commits of five, so before a fork they are all closed; a child that closes an
inherited Postgres connection says goodbye in its parent's name. Each backend knows what it has to do; this says when.
(`subprocess` runs no such hook and needs none: its descriptors are closed at exec.)
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol


class Open(Protocol):
    """Something with connections."""

    def before_fork(self) -> None:
        """Closes them."""
        ...

    def after_fork(self, *, child: bool) -> None:
        """Lets others in again."""
        ...

    def shut(self) -> None:
        """Closes for good."""
        ...


opening = threading.RLock()  # held while a database is opened, counted, or forked
_open: weakref.WeakSet[Open] = weakref.WeakSet()
_forking: list[Open] = []


def track(database: Open) -> None:
    """From now on forks and the end of the program know of it."""
    _open.add(database)


def untrack(database: Open) -> None:
    """It is closed."""
    _open.discard(database)


def _before() -> None:
    opening.acquire()
    _forking.extend(sorted(_open, key=id))
    for database in _forking:
        database.before_fork()


def _after(*, child: bool) -> None:
    for database in reversed(_forking):
        database.after_fork(child=child)
    _forking.clear()
    opening.release()


def _at_exit() -> None:
    for database in list(_open):
        database.shut()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before, after_in_parent=lambda: _after(child=False), after_in_child=lambda: _after(child=True)
    )
atexit.register(_at_exit)
