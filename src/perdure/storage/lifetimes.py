"""How long an item lives: the rules that every backend follows. Pure.

Here: when a put's item ends, whether one has ended, what `ttl=` may say. Not here: who sweeps (`sweeping.py`), refreshing
(`refreshing.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

from perdure.errors import QueryError
from perdure.store.base import TTLConfig

__all__ = ["FOR_EVER", "MINUTE", "Life", "checked_config", "is_over", "life_of", "micros_of"]

MINUTE: Final = 60_000_000
"""Microseconds."""
_MOST: Final = 5e9  # minutes: some 9,500 years, so that no end is beyond what a column holds
_SETTINGS: Final = ("refresh_on_read", "omit_expired", "default_ttl", "sweep_interval_minutes")


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


def micros_of(ttl: object, name: str = "ttl") -> int | None:
    """Minutes as microseconds, at least one; None: for ever.

    Raises:
        QueryError: no number above zero, or more than 5,000,000,000.
    """
    if ttl is None:
        return None
    if isinstance(ttl, bool) or not isinstance(ttl, (int, float)) or not 0 < ttl <= _MOST:
        raise QueryError(
            f"{name}={ttl!r}: give minutes, a number above 0 and at most {_MOST:.0f}, or None for ever. Nothing was"
            " written.",
            part=name,
        )
    return max(1, math.ceil(ttl * MINUTE))


def checked_config(given: object) -> TTLConfig | None:
    """The settings of a store's `ttl=`, if they can be right; None: its items live for ever.

    Raises:
        QueryError: a setting that is unknown, or has a value that cannot be right.
    """
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise QueryError(
            f"ttl={given!r}: give a TTLConfig, such as {{'default_ttl': 60}}, or {{}}; put(..., ttl=60) takes minutes.",
            part="ttl",
        )
    config = cast("Mapping[str, object]", given)
    for name, value in config.items():
        if name not in _SETTINGS:
            raise QueryError(
                f"ttl has the unknown setting {name!r}. Known are {', '.join(_SETTINGS)}.", part=name
            )
        if name in ("refresh_on_read", "omit_expired"):
            if not isinstance(value, bool):
                raise QueryError(f"ttl's {name}={value!r}: give True or False.", part=name)
        else:
            micros_of(value, name)
    return cast("TTLConfig", dict(config))
