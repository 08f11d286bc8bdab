"""How far a long command is: a line on stderr, drawn over itself.

Here: the drawing. Not here: what is counted.
"""

from __future__ import annotations

import sys
from time import perf_counter
from typing import Final

__all__ = ["Progress"]

PAUSE_SECONDS: Final = 0.1  # between two drawings
WIDTH: Final = 30  # of the bar, in characters


class Progress:
    """A count, or a bar where the end is known; wiped when it is left; nothing where nobody looks.

    Args:
        what: what is counted, and what becomes of it, e.g. "items exported".
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._shown = sys.stderr.isatty()
        self._drawn_at = 0.0

    def update(self, done: int, total: int | None = None) -> None:
        """Draws, unless it was drawn just now."""
        now = perf_counter()
        if not self._shown or now - self._drawn_at <= PAUSE_SECONDS:
            return
        self._drawn_at = now
        line = f"{done:,} {self.what}"
        if total is not None:
            filled = "#" * (WIDTH * min(done, total) // max(total, 1))
            line = f"[{filled.ljust(WIDTH, '.')}] {done:,} of {total:,} {self.what}"
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn_at:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
