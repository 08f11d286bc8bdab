"""Reading an item begins its time anew: what reads owe to the database is gathered, and written now and then.

An end that is near is moved at once, before the read returns; one that is far is moved within some seconds, together with
others, by a thread that waits for nothing else. So nobody, in no process, sees an item expire that was read in time, as
long as the process that read it goes on for those seconds; and before anything is read or written here, what could have
expired meanwhile is written first. A refresh makes no version.

Here: what is owed, for each backend, and when it is paid. Not here: when reading refreshes (`item_store.py`), how (`RefreshItem`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from perdure import clock
from perdure.errors import PerdureError
from perdure.storage.contract import Backend, Namespace, RefreshItem, commit_now
from perdure.storage.lifetimes import MINUTE
from perdure.store.base import Item

__all__ = ["NEAR", "SOON", "before_use", "pay", "was_read"]

SOON: Final = 5.0
"""Seconds after which what is owed is written."""
NEAR: Final = 10_000_000
"""Microseconds: an end that is not farther off is moved before the read returns."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)
_FAR: Final = 1 << 63

log = logging.getLogger("perdure.storage")


class _Debts:
    """Refreshes of one backend's items that are not written yet."""

    __slots__ = ("first", "owed", "timer", "turn")

    def __init__(self) -> None:
        self.owed: dict[
            tuple[Namespace, str], tuple[RefreshItem, int]
        ] = {}  # with its end, as the database has it
        self.first = _FAR  # the first of these ends
        self.timer: threading.Timer | None = None
        self.turn = threading.Lock()  # held while they are written: who comes next waits until they are


_known: WeakKeyDictionary[Any, _Debts] = WeakKeyDictionary()
_lock = threading.Lock()
_ever = False  # whether anything was ever owed in this process: asked before every read


def was_read(backend: Backend, items: Iterable[Item]) -> None:
    """These items, committed ones with an end, were read just now, and live for their whole time from now on."""
    now = clock.micros()
    found = [(item, _micros(item.expires_at)) for item in items if item.expires_at is not None]
    found = [(item, end) for item, end in found if now + _ttl(item) > end and (item.version or -1) > 0]
    if not found:
        return
    global _ever
    with _lock:
        _ever = True
        debts = _known.get(backend)
        if debts is None:
            debts = _known[backend] = _Debts()
        for item, end in found:
            where = (item.namespace, item.key)
            debts.owed[where] = RefreshItem(*where, item.version or 0, now + _ttl(item)), end
            debts.first = min(debts.first, end)
        if debts.first > now + NEAR:
            if debts.timer is None:
                debts.timer = threading.Timer(SOON, _later, [ref(backend)])
                debts.timer.daemon = True
                debts.timer.start()
            return
    pay(backend)


def before_use(backend: Backend) -> None:
    """What reads of this process have promised holds for who reads or writes next: asked before each, it costs a look."""
    if not _ever:
        return
    debts = _known.get(backend)
    if debts is not None and debts.first <= clock.micros():
        pay(backend)


def pay(backend: Backend) -> None:
    """All that is owed is written, or a warning says why not. Also before the backend is closed."""
    debts = _known.get(backend)
    if debts is None:
        return
    with debts.turn:
        with _lock:
            owed, debts.owed = debts.owed, {}
            timer, debts.timer = debts.timer, None
        if timer is not None:
            timer.cancel()
        try:
            if owed and not backend.closed:
                backend.commit(commit_now(lives=[refresh for refresh, _ in owed.values()]))
        except PerdureError as error:
            log.warning("reading did not begin the time of %d items anew: %s", len(owed), error)
        with _lock:  # not before it is written: who reads meanwhile waits for it
            debts.first = min((end for _, end in debts.owed.values()), default=_FAR)


def _later(backend: ref[Any]) -> None:
    found = backend()
    if found is not None:
        pay(found)


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICRO


def _ttl(item: Item) -> int:
    return 0 if item.ttl is None else round(item.ttl * MINUTE)


def _after_fork() -> None:
    """The parent pays what it owes."""
    global _lock
    _known.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
