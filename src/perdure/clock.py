"""The only source of time and of new ids.

Here: now, microseconds, the monotonic clock, time-ordered ids, random ids, and the door through which tests bring
a clock of their own (`use_clock`).
Not here: waiting. Imports nothing of Perdure; anybody may import it, nobody asks `time` or `datetime` directly.
"""

from __future__ import annotations

import os
import random
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta
from types import TracebackType

__all__ = [
    "Clock",
    "commit_id",
    "micros",
    "monotonic",
    "new_checkpoint_id",
    "now",
    "random_id",
    "use_clock",
    "uuid6",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The machine's clock. Tests override `micros` and `monotonic`."""

    def micros(self) -> int:
        """Microseconds since 1970-01-01 UTC. May stand still or step back."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back. For durations only."""
        return time.monotonic()

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return _EPOCH + timedelta(microseconds=self.micros())


_clock = Clock()
_micros = _clock.micros  # bound once: asked several times a step


def now() -> datetime:
    """The present moment, in UTC."""
    return _clock.now()


def micros() -> int:
    """Microseconds since 1970-01-01 UTC. May stand still or step back."""
    return _micros()


def monotonic() -> float:
    """Seconds since some fixed moment; never goes back. For durations only."""
    return _clock.monotonic()


class use_clock:
    """This clock is the process's clock from now on; used with `with`, until the block ends."""

    def __init__(self, clock: Clock) -> None:
        """Installs `clock` at once."""
        self._before = _clock
        _install(clock)

    def __enter__(self) -> Clock:
        """The installed clock."""
        return _clock

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """The earlier clock is back."""
        self.restore()

    def restore(self) -> None:
        """The clock that was there before is back."""
        _install(self._before)


def _install(clock: Clock) -> None:
    global _clock, _micros
    _clock, _micros = clock, clock.micros


# ---- ids
#
# Version 6 of RFC 9562: 60 bits of time in steps of 100 ns since 1582-10-15, then 14 + 48 bits that we draw at random
# for every id, so that processes need not know of each other. Within a process the time part strictly grows: where the
# clock stands or steps back it is counted on. So ids of one process sort by the order in which they were made.

_GREGORIAN_TICKS = 0x01B21DD213814000  # from 1582-10-15 to 1970-01-01
_LAST_TICK = (1 << 60) - 1
_YEAR_OF_TICKS = 366 * 86_400 * 10_000_000

# Our own generator: `random.seed()` in a user's program must neither repeat our ids nor be disturbed by them. Not for
# secrets. After a fork the child needs other numbers, and a lock that nobody holds.
_random = random.Random()  # noqa: S311 - ids are unique, not secret
_lock = threading.Lock()
_last_tick = 0


def _after_fork() -> None:
    global _random, _lock
    _random = random.Random()  # noqa: S311 - as above
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _next_tick(at_least: int = 0) -> int:
    global _last_tick
    with _lock:
        tick = _micros() * 10 + _GREGORIAN_TICKS
        if tick <= _last_tick:
            tick = _last_tick + 1
        if tick < at_least:
            # An id from far ahead, by a broken clock or made by hand, is exceeded without taking all later ids along.
            if at_least - tick > _YEAR_OF_TICKS:
                return at_least
            tick = at_least
        _last_tick = tick
        return tick


# Half of what `uuid.UUID(int=...)` costs goes into checks that cannot fail here.
_new_uuid = object.__new__
_set = object.__setattr__


def uuid6(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
    """A new id, greater than every id made by this process before, whatever the clock does.

    Args:
        node: 48 bits for the last part; random if not given.
        clock_seq: 14 bits for the part before; random if not given.

    Safe from any thread and after a fork. Layout: RFC 9562, section 5.6.
    """
    tail = _random.getrandbits(62)
    if clock_seq is not None:
        tail = (clock_seq & 0x3FFF) << 48 | (tail & 0xFFFF_FFFF_FFFF)
    if node is not None:
        tail = (tail >> 48 << 48) | (node & 0xFFFF_FFFF_FFFF)
    made = _new_uuid(uuid.UUID)
    tick = _next_tick()
    _set(made, "int", (tick >> 12) << 80 | 6 << 76 | (tick & 0xFFF) << 64 | 0b10 << 62 | tail)
    _set(made, "is_safe", uuid.SafeUUID.unknown)
    return made


def new_checkpoint_id(after: str | None = None) -> str:
    """A new id as text, greater than `after` even if the clock went back since.

    Args:
        after: the id to exceed, usually a thread's head. For texts that are no UUID the new id is greater only if
            it happens to be: another program's ids need not leave room above them.

    Safe from any thread.
    """
    text = _as_text(_next_tick())
    if after is None or text > after:
        return text
    try:
        known = uuid.UUID(after).int
    except ValueError:
        return text
    high, low = known >> 80, (known >> 64) & 0xFFF
    if (known >> 76) & 0xF != 6:  # another version: go past everything that shares its first 48 bits
        low = 0xFFF
    above = (high << 12 | low) + 1
    if above >= _LAST_TICK:  # no id is greater than that
        return text
    return _as_text(_next_tick(above))


def _as_text(tick: int) -> str:
    draw = _random.getrandbits
    return "%08x-%04x-6%03x-%04x-%012x" % (  # noqa: UP031 - a third of the time of an f-string
        tick >> 28,
        (tick >> 12) & 0xFFFF,
        tick & 0xFFF,
        0x8000 | draw(14),
        draw(48),
    )


def commit_id(at: int) -> bytes:
    """16 bytes that no other commit has, ordered by time where `at` (microseconds since 1970) is."""
    return (max(at, 0) << 64 | _random.getrandbits(64)).to_bytes(16, "big")


def random_id() -> int:
    """63 random bits: an id where order does not matter. Not for secrets."""
    return _random.getrandbits(63)
