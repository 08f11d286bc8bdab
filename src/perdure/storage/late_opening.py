"""A database that is opened when it is first needed, by whoever needs it first, once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from perdure.storage.opened import Opened

__all__ = ["LateOpening"]


class LateOpening:
    """Opens at most once, however many threads ask. After a failure the next one tries again.

    Args:
        opener: opens the database, or raises.
    """

    def __init__(self, opener: Callable[[], Opened]) -> None:
        self._opener = opener
        self._lock = threading.Lock()
        self._done = False

    def open(self, take: Callable[[Opened], object]) -> None:
        """Opens, and `take` has what was opened; nothing if that was done. Others wait until it is."""
        with self._lock:
            if not self._done:
                take(self._opener())
                self._done = True
