"""A change inside a value as a small operation, and the value again from operations.

Old values are copies as `stand_ins.py` makes them. Here: whether two values are equal in every respect, operations, their
application. Not here: which segments a change becomes (`deltas.py`).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import islice
from operator import is_
from typing import Any, Final, cast

from perdure.storage.stand_ins import Array, Fields, fields_of, is_leaf

# Operations of a patch: (code, ...). Codes are part of the stored format.
_SPLICE: Final = 0  # (start, removed, items)
_DICT: Final = 1  # ({key: new value}, [removed keys], {key: operation})
_ITEM: Final = 2  # (index, operation)
_SET: Final = 3  # ([added], [removed])
_TEXT: Final = 4  # (suffix,)

_TEXT_FROM = 64  # a shorter text is written anew
_PLAIN: frozenset[type] = frozenset({str, int, bool, type(None), bytes})  # `==` of two of one type tells all


def equal(old: Any, new: Any) -> bool:
    """Whether `new` is what the shadow `old` was made of, types of scalars included."""
    return bool(old == new) and exact(old, new)


def exact(old: Any, new: Any) -> bool:
    """Whether two values that are `==` have the same types throughout (`1`, `True`, `1.0`, `-0.0` told apart)."""
    if old is new:
        return True
    kind = cast("type[Any]", type(old))
    if kind is Fields:
        return old == new and exact(old.fields, fields_of(new))
    if kind is Array:
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


def operation_of(old: Any, new: Any) -> list[Any] | None:
    """The operation that turns `old` (a shadow) into `new`, where one is worth it; None: write `new` whole."""
    kind = cast("type[Any]", type(old))
    if kind is not type(new):
        return None
    if kind is dict:
        return _dict_operation(old, new)
    if kind is list:
        return list_operation(old, new, 0, len(new))
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
            operation = operation_of(old[key], item)
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


def list_operation(old: list[Any], new: list[Any], start: int, length: int) -> list[Any] | None:
    """As `operation_of`, for parts of two lists that begin at `start`; what stands around them is equal.

    Args:
        old: a copy of the part as it was.
        new: the part as it is.
        start: where the parts begin in their lists.
        length: of the whole new list.
    """
    most = min(len(old), len(new))
    head = 0
    while head < most and equal(old[head], new[head]):
        head += 1
    tail = 0
    while tail < most - head and equal(old[-1 - tail], new[-1 - tail]):
        tail += 1
    removed, items = len(old) - head - tail, new[head : len(new) - tail]
    if removed == 1 and len(items) == 1:
        operation = operation_of(old[head], items[0])
        if operation is not None:
            return [_ITEM, start + head, operation]
    if len(items) * 2 > length:
        return None
    return [_SPLICE, start + head, removed, items]


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
