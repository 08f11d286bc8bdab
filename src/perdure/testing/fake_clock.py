"""A clock that a test moves by hand: what happens "an hour later" happens now.

Here: `FakeClock`. Not here: waiting. A pause before a retry, or of a sweeper, is as long as ever.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Final, Self

from perdure import clock

__all__ = ["FakeClock"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO: Final = timedelta(microseconds=1)


class FakeClock(clock.Clock):
    """Time stands still until it is moved, forwards or back.

        with FakeClock() as clock:
            clock.advance(seconds=3600)

    Within the block it is the clock of the whole process: of items' times, checkpoints and ids. Blocks may be nested; the
    earlier clock is back after each. Safe from any thread.

    Args:
        start: the moment it stands at; with a time zone. None: the present one.
    """

    def __init__(self, start: datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._at = clock.micros() if start is None else _micros(start)
        self._elapsed = 0
        self._installed: list[clock.use_clock] = []

    def __repr__(self) -> str:
        return f"<FakeClock at {self.now().isoformat()}>"

    def micros(self) -> int:
        """Microseconds since 1970-01-01 UTC, at the moment where the clock stands."""
        return self._at

    def monotonic(self) -> float:
        """Seconds that the clock was moved forwards, in all; moving it back takes none away."""
        return self._elapsed / 1e6

    def advance(self, *, seconds: float = 0, minutes: float = 0, hours: float = 0, days: float = 0) -> None:
        """The clock goes on by so much; back, if that is less than nothing."""
        by = timedelta(seconds=seconds, minutes=minutes, hours=hours, days=days) // _MICRO
        with self._lock:
            self._at += by
            self._elapsed += max(0, by)

    def set(self, moment: datetime) -> None:
        """The clock stands at this moment, earlier or later than it did. `moment` has a time zone, else ValueError."""
        at = _micros(moment)
        with self._lock:
            self._elapsed += max(0, at - self._at)
            self._at = at

    def __enter__(self) -> Self:
        """Itself, the process's clock from now on."""
        self._installed.append(clock.use_clock(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """The earlier clock is back."""
        self._installed.pop().restore()


def _micros(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone: give one, such as datetime(2026, 1, 1, tzinfo=UTC).")
    return (moment - _EPOCH) // _MICRO
