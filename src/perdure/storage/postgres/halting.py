"""Statements that take minutes, which whoever closes the database cuts short.

Here: `Halting`, and `Halted`, which the one at work meets. Not here: what takes so long (`tending.py`).
https://www.postgresql.org/docs/current/libpq-cancel.html
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.opening import Connection

__all__ = ["Halted", "Halting"]

_SECONDS: Final = 2.0
_CANCEL_SECONDS: Final = 1.0
_AGAIN_SECONDS: Final = 0.1  # a request that comes before its statement is lost


class Halted(Exception):
    """Nobody waits for this work any more."""


class Halting:
    """Work of one thread that another may stop, wherever it is. After a fork the child's calls leave the parent's work alone.

    Attributes:
        ended: set while nobody is at it.
    """

    def __init__(self) -> None:
        self.ended = threading.Event()
        self.ended.set()
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._halted = False
        self._busy: Connection | None = None

    @property
    def halted(self) -> bool:
        """Whether it is to end."""
        return self._halted

    def check(self) -> None:
        """Raises Halted if it is to end."""
        if self._halted:
            raise Halted

    @contextmanager
    def on(self, connection: Connection) -> Generator[None]:
        """What the server does for this connection in the block is cancelled by `halt`.

        Raises:
            Halted: it was, or nothing was begun any more.
        """
        with self._changed:
            self.check()
            self._busy = connection
        try:
            yield
        except psycopg.Error as error:
            if self._halted:
                raise Halted from error
            raise
        finally:
            with self._changed:  # a request to cancel that is under way meets no later statement
                self._busy = None
                self._changed.notify_all()

    def halt(self) -> None:
        """Nothing begins any more, and what the server is at, it gives up: returns when it has, or after two seconds."""
        self._halted = True
        if os.getpid() != self._process:
            return
        until = time.monotonic() + _SECONDS
        with self._changed:
            while self._busy is not None and time.monotonic() < until:
                try:
                    self._busy.cancel_safe(timeout=_CANCEL_SECONDS)
                except psycopg.Error:
                    return  # it is lost, or the server takes no more connections: it ends by itself
                self._changed.wait(_AGAIN_SECONDS)
