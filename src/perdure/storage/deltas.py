"""What changed in a value, as a small operation; and the value again from operations. Pure: no bytes, no database.

A channel's value is written as segments of a log: a base, then appended items or patches. `change_of` compares a new
value with the *shadow* of what was committed: a copy of the containers that shares their leaves. The identity of a
mutable container proves nothing (users mutate in place and return the same object), so containers are compared by
`==` against the shadow, in C; `==` only ever proves a change. Where it says equal and the value is a new object,
scalars are compared by type as well (`1 == True == 1.0`).

Here: shadows, changes, their application. Not here: encoding (`codec`), refs and rows (`chains.py`).
"""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from operator import is_, is_not
from typing import Any, Final, NamedTuple, cast

BASE: Final = 0  # payload: the value
APPEND: Final = 1  # payload: list of items; a log that begins with it starts from []
PATCH: Final = 2  # payload: an operation, see `apply_patch`
FROM: Final = 3  # payload: (log, length): goes on from there

# Operations of a patch: (code, ...). Codes are part of the stored format.
_SPLICE: Final = 0  # (start, removed, items)
_DICT: Final = 1  # ({key: new value}, [removed keys], {key: operation})
_ITEM: Final = 2  # (index, operation)
_SET: Final = 3  # ([added], [removed])
_TEXT: Final = 4  # (suffix,)

_TEXT_FROM = 64  # a shorter text is written anew
_WORD = struct.calcsize("P")
_UNSEEN = frozenset({"__pydantic_fields_set__"})  # says how a model was made, not what it is
_NOTHING: dict[str, Any] = {}


class Change(NamedTuple):
    """What to write: `kind` BASE, APPEND or PATCH; `width`: positions of the log that it takes."""

    kind: int
    piece: Any
    width: int


class Shadow:
    """What was committed: `copy` shares the leaves, `live` is the object (for a list: its items) that was compared."""

    __slots__ = ("copy", "live")

    def __init__(self, value: Any) -> None:
        self.copy: Any
        self.live: Any
        self._take(value)

    def _take(self, value: Any) -> None:
        try:
            self.copy = detached(value)
        except RecursionError:  # nested nearly as deep as can be saved: written whole whenever its channel is
            self.copy = _OPAQUE
        self.live = list(cast("list[Any]", value)) if type(value) is list else value

    def absorb(self, change: Change, value: Any) -> None:
        """From now on the shadow of `value`, which differs from the committed one by `change`."""
        match change.kind:
            case 1:  # APPEND
                new = detached(change.piece)
                self.copy.extend(new)
                self.live.extend(change.piece)
            case 2:  # PATCH
                self.copy = apply_patch(self.copy, detached(change.piece))
                self.live = list(cast("list[Any]", value)) if type(value) is list else value
            case _:
                self._take(value)


class _Fields:
    """The shadow of an object: its type and a detached copy of its fields. Equal to an object that still has them."""

    __slots__ = ("fields", "of")
    __hash__ = None  # type: ignore[assignment] - compared, never a key

    def __init__(self, value: Any) -> None:
        self.of: type[Any] = type(value)
        self.fields = detached(fields_of(value))

    def __eq__(self, other: object) -> bool:
        if type(other) is _Fields:
            return self.of is other.of and self.fields == other.fields
        return type(other) is self.of and bool(self.fields == fields_of(other))


class _Array:
    """The shadow of a numpy array."""

    __slots__ = ("array",)
    __hash__ = None  # type: ignore[assignment] - compared, never a key

    def __init__(self, array: Any) -> None:
        self.array: Any = array.copy()

    def __eq__(self, other: object) -> bool:
        mine: Any = self.array
        theirs: Any = other.array if type(other) is _Array else other
        if type(theirs) is not type(mine) or mine.dtype != theirs.dtype or mine.shape != theirs.shape:
            return False
        return bool(mine.tobytes() == theirs.tobytes())


class _Opaque:
    """The shadow of an object that shows no fields: never equal, so it is written whenever its channel is."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment] - compared, never a key

    def __eq__(self, other: object) -> bool:
        return False


_OPAQUE = _Opaque()
_LEAVES: frozenset[type] = frozenset({str, int, float, bool, type(None), bytes, complex, range})
_PLAIN: frozenset[type] = frozenset({str, int, bool, type(None), bytes})  # `==` of two of one type tells all
_LEAF_MODULES = frozenset(
    {"datetime", "uuid", "decimal", "pathlib", "zoneinfo", "ipaddress", "re", "fractions"}
)


def is_leaf(value: Any) -> bool:
    """Whether identity (or `==`) of the value proves that nothing in it changed."""
    kind = cast("type[Any]", type(value))
    if kind in _LEAVES:
        return True
    return kind.__module__.partition(".")[0] in _LEAF_MODULES or (
        hasattr(kind, "__members__") and hasattr(kind, "_member_map_")
    )


def detached(value: Any) -> Any:
    """A copy of the containers in `value` that shares the leaves; objects become comparable stand-ins."""
    kind = cast("type[Any]", type(value))
    if kind in _LEAVES:
        return value
    if kind is list:
        return [item if type(item) in _LEAVES else detached(item) for item in value]
    if kind is dict:
        return {key: item if type(item) in _LEAVES else detached(item) for key, item in value.items()}
    if kind is tuple:
        return tuple(detached(item) for item in value)
    if kind is set or kind is frozenset:
        return cast("object", kind(value))  # members are hashable: taken as immutable
    if kind is deque:
        return deque((detached(item) for item in value), value.maxlen)
    if kind is _Fields or kind is _Array or kind is _Opaque or is_leaf(value):
        return value
    if kind is bytearray:
        return bytearray(value)
    if kind.__module__ == "numpy":
        return _Array(value) if hasattr(value, "tobytes") else value
    if issubclass(kind, tuple):  # a named tuple: items by position, its type by the stand-in
        return _OPAQUE if hasattr(value, "__dict__") else _Fields(value)
    return _Fields(value) if _has_fields(kind) else _OPAQUE


@lru_cache(maxsize=1024)
def _has_fields(kind: type) -> bool:
    """Whether all that an object of this class holds is in its `__dict__` and slots, and no part of it in C."""
    words = (
        len(_slots(kind))
        + len(_UNSEEN & _all_slots(kind))
        + (kind.__dictoffset__ > 0)
        + (kind.__weakrefoffset__ > 0)
    )
    hidden = kind.__basicsize__ - object.__basicsize__ - words * _WORD
    return hidden <= 0 and kind.__itemsize__ == 0


@lru_cache(maxsize=1024)
def _slots(kind: type) -> tuple[str, ...]:
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
    slots = _slots(cast("type[Any]", type(value)))
    if not slots:
        return found
    beside = {name: getattr(value, name) for name in slots if getattr(value, name, None) is not None}
    return {**found, **beside} if beside else found


def change_of(shadow: Shadow, new: Any) -> Change | None:
    """The change from what was committed to `new`; None where nothing changed."""
    old = shadow.copy
    try:
        if type(new) is list and type(old) is list:
            return _list_change(cast("list[Any]", old), shadow.live, cast("list[Any]", new))
        if equal(old, new):
            return None
        operation = _operation(old, new)
    except RecursionError:
        operation = None
    return Change(BASE, new, 1) if operation is None else Change(PATCH, operation, 1)


def _list_change(old: list[Any], live: list[Any], new: list[Any]) -> Change | None:
    length = len(old)
    if len(new) >= length:
        head = new if len(new) == length else new[:length]
        if old == head and _same_scalars(old, live, head):
            return Change(APPEND, new[length:], len(new) - length) if len(new) > length else None
    operation = _operation(old, new)
    return Change(BASE, new, 1) if operation is None else Change(PATCH, operation, 1)


def _same_scalars(old: list[Any], live: list[Any], new: list[Any]) -> bool:
    """Whether the items that are new objects are equal in type as well."""
    if not any(map(is_not, live, new)):
        return True
    return all(a is b or exact(o, b) for o, a, b in zip(old, live, new, strict=True))


def equal(old: Any, new: Any) -> bool:
    """Whether `new` is what the shadow `old` was made of, types of scalars included."""
    return bool(old == new) and exact(old, new)


def exact(old: Any, new: Any) -> bool:
    """Whether two values that are `==` have the same types throughout (`1`, `True`, `1.0`, `-0.0` told apart)."""
    if old is new:
        return True
    kind = cast("type[Any]", type(old))
    if kind is _Fields:
        return old == new and exact(old.fields, fields_of(new))
    if kind is _Array:
        return old == new
    if kind is not type(new):
        return False
    if kind in _PLAIN:
        return True
    if kind is float:
        return math.copysign(1.0, old) == math.copysign(1.0, new)
    if kind is dict:
        return _same_keys(old, new) and all(map(exact, old.values(), new.values()))
    if kind is list or kind is tuple:
        return all(map(exact, old, new))
    if kind is deque:
        return old.maxlen == new.maxlen and all(map(exact, old, new))
    if kind is set or kind is frozenset:
        return _same_members(old, new)
    if is_leaf(old):  # Decimal("1.0") == Decimal("1.00"), one moment in two time zones ...
        return repr(old) == repr(new)
    return True


def _same_keys(old: dict[Any, Any], new: dict[Any, Any]) -> bool:
    return all(map(is_, old, new)) or all(a == b and exact(a, b) for a, b in zip(old, new, strict=True))


def _same_members(old: Iterable[Any], new: Iterable[Any]) -> bool:
    """Whether members of two sets that are equal are of equal types."""
    known = {member: member for member in old}
    return all(exact(known[member], member) for member in new if member in known)


def _operation(old: Any, new: Any) -> list[Any] | None:
    """The operation that turns `old` (a shadow) into `new`, where one is worth it; None: write `new` whole."""
    kind = cast("type[Any]", type(old))
    if kind is not type(new):
        return None
    if kind is dict:
        return _dict_operation(old, new)
    if kind is list:
        return _list_operation(old, new)
    if kind is set:
        added, removed = list(new - old), list(old - new)
        return (
            [_SET, added, removed]
            if _same_members(old, new) and len(added) + len(removed) < len(new)
            else None
        )
    if kind is str and len(old) >= _TEXT_FROM and new.startswith(old):
        return [_TEXT, new[len(old) :]]
    return None


def _dict_operation(old: dict[Any, Any], new: dict[Any, Any]) -> list[Any] | None:
    put: dict[Any, Any] = {}
    nested: dict[Any, Any] = {}
    for key, item in new.items():
        if key not in old:
            put[key] = item
        elif not equal(old[key], item):
            operation = _operation(old[key], item)
            if operation is None:
                put[key] = item
            else:
                nested[key] = operation
    removed = [key for key in old if key not in new]
    if len(put) + len(removed) > len(new) // 2 + 1 and not nested:
        return None
    kept = [key for key in old if key in new]
    if kept + [key for key in put if key not in old] != list(new) or not exact(
        kept, list(islice(new, len(kept)))
    ):
        return None  # the order changed, or a key's type: an operation would not reproduce it
    return [_DICT, put, removed, nested]


def _list_operation(old: list[Any], new: list[Any]) -> list[Any] | None:
    most = min(len(old), len(new))
    head = 0
    while head < most and equal(old[head], new[head]):
        head += 1
    tail = 0
    while tail < most - head and equal(old[-1 - tail], new[-1 - tail]):
        tail += 1
    removed, items = len(old) - head - tail, new[head : len(new) - tail]
    if removed == 1 and len(items) == 1:
        operation = _operation(old[head], items[0])
        if operation is not None:
            return [_ITEM, head, operation]
    if len(items) * 2 > len(new):
        return None
    return [_SPLICE, head, removed, items]


def apply_patch(value: Any, operation: Sequence[Any]) -> Any:
    """The value after the operation; containers are changed in place where they can be."""
    match operation[0]:
        case 0:  # _SPLICE
            _, start, removed, items = operation
            value[start : start + removed] = items
        case 1:  # _DICT
            _, put, removed, nested = operation
            for key in removed:
                del value[key]
            for key, inner in nested.items():
                value[key] = apply_patch(value[key], inner)
            value.update(put)
        case 2:  # _ITEM
            _, index, inner = operation
            value[index] = apply_patch(value[index], inner)
        case 3:  # _SET
            value.difference_update(operation[2])
            value.update(operation[1])
        case 4:  # _TEXT
            return value + operation[1]
        case code:
            raise ValueError(f"unknown patch operation {code!r}")
    return value
