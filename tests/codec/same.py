"""Equality that a codec must keep: `1` is not `True`, `0.0` is not `-0.0`, a list is not a tuple, order counts."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from typing import Any

import numpy as np


def same(left: Any, right: Any) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) and (left == right or left != left)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, deque) and left.maxlen != right.maxlen:
        return False
    if isinstance(left, list | tuple | deque):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        if getattr(left, "default_factory", None) is not getattr(right, "default_factory", None):
            return False
        return same(list(left.items()), list(right.items()))
    if dataclasses.is_dataclass(left) and not isinstance(left, type):
        return all(
            same(getattr(left, each.name), getattr(right, each.name)) for each in dataclasses.fields(left)
        )
    if isinstance(left, set | frozenset):
        return left == right and sorted(map(typed, left)) == sorted(map(typed, right))
    if hasattr(left, "fold"):
        return left == right and left.fold == right.fold and same(left.tzinfo, right.tzinfo)
    return bool(left == right)


def typed(value: object) -> str:
    """A text that tells `1` from `True` and does not depend on the order of a set."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__} {sorted(map(typed, value))}"
    if isinstance(value, tuple):
        return f"tuple {list(map(typed, value))}"
    return f"{type(value).__name__} {value!r}"
