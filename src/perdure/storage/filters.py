"""The one predicate that decides which items a filter means, on every backend.

Here: a filter to a function of an item's value. Not here: what may stand in one (`filter_tree.py`), paths
(`filter_paths.py`), SQL; whatever a database preselects, this decides.
Pure. Type-strict: True is not 1, numbers compare with numbers, texts with texts, anything else does not match.

    {"kind": "note", "age": {"$gte": 18, "$lt": 65}, "user": {"name": "Ada"}, "tags[*]": "en", "deleted": None}

Keys are ANDed. A nested object is compared by the keys it gives. A key is a path, unless the value has the very key.
None matches null and missing. `$ne` is the opposite of `$eq`, so it matches missing, too. `docs/reference/filters.md`
tells all of it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

from perdure.storage.filter_paths import MISSING
from perdure.storage.filter_tree import AllOf, AnyOf, At, IsObject, Node, Not, Test, parse_filter

__all__ = ["Predicate", "compile_filter", "predicate_of"]

Predicate: TypeAlias = Callable[[dict[str, Any]], bool]
_Test: TypeAlias = Callable[[object], bool]
_TestOfMany: TypeAlias = Callable[[Sequence[object]], bool]

_NUMBERS: Final = (int, float)  # a tuple: `int | float` would be made anew for every row


def compile_filter(given: Mapping[str, Any]) -> Predicate:
    """A function that says whether an item's value meets the filter; `{}` means every item.

    Raises:
        QueryError: the filter cannot be right, as `parse_filter` says.
    """
    return predicate_of(parse_filter(given))


def predicate_of(node: Node) -> Predicate:
    """The function that decides what the tree asks."""
    return cast("Predicate", _test(node))


def _test(node: Node) -> _Test:
    match node:
        case Test(name, operand):
            return _TESTS[name](operand)
        case IsObject():
            return lambda value: isinstance(value, dict)
        case At(path, condition):
            if path.many:
                every, of_many = path.all, _test_of_many(condition)
                return lambda value: of_many(every(value))
            one, test = path.one, _test(condition)
            return lambda value: test(one(value))
        case Not(part):
            test = _test(part)
            return lambda value: not test(value)
        case AllOf(parts):
            tests = [_test(part) for part in parts]
            return lambda value: all(test(value) for test in tests)
        case AnyOf(parts):
            tests = [_test(part) for part in parts]
            return lambda value: any(test(value) for test in tests)


def _test_of_many(node: Node) -> _TestOfMany:
    """The condition under a `[*]`: one element meets all of it at once, save what `$not` says: no element meets that."""
    match node:
        case Not(part):
            of_many = _test_of_many(part)
            return lambda values: not of_many(values)
        case AnyOf(parts):  # each may be met by another element
            tests = [_test_of_many(part) for part in parts]
            return lambda values: any(test(values) for test in tests)
        case AllOf():
            parts = _conjuncts(node)
            of_all = [_test_of_many(part) for part in parts if _negates(part)]
            of_one = [_test(part) for part in parts if not _negates(part)]
            return lambda values: (
                any(all(test(value) for test in of_one) for value in values)
                and all(test(values) for test in of_all)
            )
        case _:
            test = _test(node)
            return lambda values: any(map(test, values))


def _conjuncts(node: AllOf) -> list[Node]:
    found: list[Node] = []
    for part in node.parts:
        found += _conjuncts(part) if isinstance(part, AllOf) else [part]
    return found


def _negates(node: Node) -> bool:
    """Whether a `$not` speaks of the value at hand; one below a further path speaks of what it finds there."""
    match node:
        case Not():
            return True
        case AllOf(parts) | AnyOf(parts):
            return any(map(_negates, parts))
        case _:
            return False


# ---- tests of one value


def _equals(operand: object) -> _Test:
    if operand is None:
        return lambda value: value is None or value is MISSING
    return lambda value: same(value, operand)


def _is_in(operands: tuple[object, ...]) -> _Test:
    """As `_equals` of each; scalars by hash, so that a long list costs no more than a short one."""
    booleans = {one for one in operands if isinstance(one, bool)}
    scalars = {one for one in operands if isinstance(one, str | int | float) and not isinstance(one, bool)}
    others: list[object] = [one for one in operands if isinstance(one, list | tuple | Mapping)]
    null = None in operands

    def test(value: object) -> bool:
        if isinstance(value, bool):
            return value in booleans
        if isinstance(value, str | int | float):
            return value in scalars
        if value is None or value is MISSING:
            return null
        return any(same(value, other) for other in others)

    return test


def _contains(operand: object) -> _Test:
    def test(value: object) -> bool:
        if isinstance(value, str):
            return isinstance(operand, str) and operand in value
        return isinstance(value, list | tuple) and any(
            same(one, operand) for one in cast("Sequence[object]", value)
        )

    return test


def _opposite(make: Callable[[Any], _Test]) -> Callable[[Any], _Test]:
    def opposite(operand: Any) -> _Test:
        test = make(operand)
        return lambda value: not test(value)

    return opposite


def _compares(compare: Callable[[Any, Any], bool]) -> Callable[[Any], _Test]:
    def make(operand: Any) -> _Test:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        return lambda value: (
            isinstance(value, _NUMBERS) and not isinstance(value, bool) and compare(value, operand)
        )

    return make


_TESTS: Final[dict[str, Callable[[Any], _Test]]] = {
    "eq": _equals,
    "ne": _opposite(_equals),
    "gt": _compares(operator.gt),
    "gte": _compares(operator.ge),
    "lt": _compares(operator.lt),
    "lte": _compares(operator.le),
    "in": _is_in,
    "nin": _opposite(_is_in),
    "exists": lambda wanted: lambda value: (value is not MISSING) is wanted,
    "contains": _contains,
}


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same to their depth; True is not 1, 1 is 1.0, a tuple is a list."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, Mapping):
        left, right = cast("dict[str, object]", one), cast("Mapping[str, object]", other)
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        items, others = cast("list[object]", one), cast("list[object]", other)
        return len(items) == len(others) and all(map(same, items, others))
    return one == other
