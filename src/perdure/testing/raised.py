"""An error that must come: what every suite of checks says alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

__all__ = ["araised", "raised"]

E = TypeVar("E", bound=BaseException)


def raised(kind: type[E], act: Callable[[], object]) -> E:
    """The error of this kind that `act` must raise."""
    try:
        act()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


async def araised(kind: type[E], call: Awaitable[object]) -> E:
    """The error of this kind that awaiting `call` must raise."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__} was raised")
