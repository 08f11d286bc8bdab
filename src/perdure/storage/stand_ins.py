"""Copies of a value's containers that share its leaves, so that a change made in place can be seen afterwards.

Objects cannot be copied without running their code: a *stand-in* keeps their type and a copy of their fields, and is equal
to an object that still has them. What shows no fields is never equal to anything, so it is written whenever its channel is.

Here: copies of any value, one container at a time. Not here: many alike at once (`sheets.py`), what a difference means
(`patches.py`).
"""

from __future__ import annotations

import struct
from collections import deque
from functools import lru_cache
from typing import Any, cast

_WORD = struct.calcsize("P")
_UNSEEN = frozenset({"__pydantic_fields_set__"})  # says how a model was made, not what it is
_NOTHING: dict[str, Any] = {}


class Fields:
    """Stands in for an object: its type and a copy of its fields. Equal to an object that still has them."""

    __slots__ = ("fields", "of")
    __hash__ = None  # type: ignore[assignment] - compared, never a key

    def __init__(self, of: Any, fields: Any) -> None:
        self.of: type[Any] = of
        self.fields = fields

    def __eq__(self, other: object) -> bool:
        if type(other) is Fields:
            return self.of is other.of and self.fields == other.fields
        return type(other) is self.of and bool(self.fields == fields_of(other))


class Array:
    """Stands in for a numpy array."""

    __slots__ = ("array",)
    __hash__ = None  # type: ignore[assignment] - compared, never a key

    def __init__(self, array: Any) -> None:
        self.array: Any = array.copy()

    def __eq__(self, other: object) -> bool:
        mine: Any = self.array
        theirs: Any = other.array if type(other) is Array else other
        if type(theirs) is not type(mine) or mine.dtype != theirs.dtype or mine.shape != theirs.shape:
            return False
        return bool(mine.tobytes() == theirs.tobytes())


class Opaque:
    """Stands in for an object that shows no fields."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment] - compared, never a key

    def __eq__(self, other: object) -> bool:
        return False


OPAQUE = Opaque()
LEAVES: frozenset[type] = frozenset({str, int, float, bool, type(None), bytes, complex, range})
_LEAF_MODULES = frozenset(
    {"datetime", "uuid", "decimal", "pathlib", "zoneinfo", "ipaddress", "re", "fractions"}
)


def is_leaf(value: Any) -> bool:
    """Whether identity (or `==`) of the value proves that nothing in it changed."""
    return is_leaf_kind(cast("type[Any]", type(value)))


def is_leaf_kind(kind: type[Any]) -> bool:
    """Whether that is so for all values of exactly this type."""
    if kind in LEAVES:
        return True
    return kind.__module__.partition(".")[0] in _LEAF_MODULES or (
        hasattr(kind, "__members__") and hasattr(kind, "_member_map_")
    )


def detached(value: Any) -> Any:
    """A copy of the containers in `value` that shares the leaves; objects become comparable stand-ins."""
    kind = cast("type[Any]", type(value))
    if kind in LEAVES:
        return value
    if kind is list:
        return [item if type(item) in LEAVES else detached(item) for item in value]
    if kind is dict:
        return {key: item if type(item) in LEAVES else detached(item) for key, item in value.items()}
    if kind is tuple:
        return tuple(detached(item) for item in value)
    if kind is set or kind is frozenset:
        return cast("object", kind(value))  # members are hashable: taken as immutable
    if kind is deque:
        return deque((detached(item) for item in value), value.maxlen)
    if kind is Fields or kind is Array or kind is Opaque or is_leaf(value):
        return value
    if kind is bytearray:
        return bytearray(value)
    if kind.__module__ == "numpy":
        return Array(value) if hasattr(value, "tobytes") else value
    if issubclass(kind, tuple):  # a named tuple: items by position, its type by the stand-in
        return OPAQUE if hasattr(value, "__dict__") else _fields(value, cast("type[Any]", kind))
    return _fields(value, kind) if has_fields(kind) else OPAQUE


def _fields(value: Any, kind: type[Any]) -> Fields:
    return Fields(kind, detached(fields_of(value)))


@lru_cache(maxsize=1024)
def has_fields(kind: type) -> bool:
    """Whether all that an object of this class holds is in its `__dict__` and slots, and no part of it in C."""
    words = (
        len(slots_of(kind))
        + len(_UNSEEN & _all_slots(kind))
        + (kind.__dictoffset__ > 0)
        + (kind.__weakrefoffset__ > 0)
    )
    hidden = kind.__basicsize__ - object.__basicsize__ - words * _WORD
    return hidden <= 0 and kind.__itemsize__ == 0


@lru_cache(maxsize=1024)
def slots_of(kind: type) -> tuple[str, ...]:
    """The slots of this class and its bases that hold parts of the value."""
    return tuple(_all_slots(kind) - _UNSEEN)


def _all_slots(kind: type) -> frozenset[str]:
    found: set[str] = set()
    for base in kind.__mro__:
        names: Any = base.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            private = name.startswith("__") and not name.endswith("__")
            found.add(f"_{base.__name__.lstrip('_')}{name}" if private else name)
    return frozenset(found - {"__dict__", "__weakref__"})


def fields_of(value: Any) -> Any:
    """The fields of an object, as a container that can be compared: pydantic extras and private ones included."""
    if isinstance(value, tuple):
        return tuple(cast("tuple[Any, ...]", value))
    found: dict[str, Any] = getattr(value, "__dict__", _NOTHING)
    slots = slots_of(cast("type[Any]", type(value)))
    if not slots:
        return found
    beside = {name: getattr(value, name) for name in slots if getattr(value, name, None) is not None}
    return {**found, **beside} if beside else found
