"""Whole numbers that an operation carries: limits, offsets and the like.

Pure. Imported by whoever checks an operation.
"""

from __future__ import annotations

from typing import Final

from perdure.errors import QueryError

__all__ = ["MOST", "counted"]

MOST: Final = (1 << 62) - 1
"""No store holds so many; and twice that is still a machine's integer."""


def counted(name: str, given: int, least: int = 0) -> int:
    """The number, if it is one of at least `least`; of a greater one than `MOST` that. Raises QueryError."""
    if isinstance(given, bool) or not isinstance(given, int) or given < least:  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        raise QueryError(f"{name}={given!r}: give an integer of at least {least}.", part=name)
    return min(given, MOST)
