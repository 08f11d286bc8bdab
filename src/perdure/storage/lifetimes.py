"""How long an item lives: the rules that every backend follows. Pure.

Here: when a put's item ends, whether one has ended. Not here: who sweeps (`sweeping.py`), refreshing (`refreshing.py`), what a
caller may say (`store/base`).
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["FOR_EVER", "Life", "is_over", "life_of"]


class Life(NamedTuple):
    """When an item ends, and how long it lives anew when it is read (microseconds)."""

    expires: int | None
    ttl: int | None


FOR_EVER = Life(None, None)


def life_of(ttl: int | None, expires: int | None, before: Life | None, at: int) -> Life:
    """The life of what is put at `at`; `before` is that of the item whose life stays, if there is one."""
    if before is not None:
        return before
    if expires is not None:
        return Life(expires, ttl)
    return FOR_EVER if ttl is None else Life(at + ttl, ttl)


def is_over(expires: int | None, at: int) -> bool:
    """Whether the item is gone at that time: it lives up to, and not at, its end."""
    return expires is not None and expires <= at
