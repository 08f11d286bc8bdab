"""The one predicate that decides which items a filter means, on every backend.

Here: a filter to a function of an item's value. Not here: SQL; whatever a database preselects, this decides.
Pure. Type-strict: True is not 1, numbers compare with numbers, texts with texts, anything else does not match.

    {"kind": "note", "age": {"$gte": 18, "$lt": 65}, "user": {"name": "Ada"}, "user.langs": ["en"], "deleted": None}

Keys are ANDed. A nested object is compared by the keys it gives. A key with periods is a path, unless the value has
the very key. None matches null and missing. `$ne` is the opposite of `$eq`, so it matches missing, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from perdure.errors import QueryError

__all__ = ["Predicate", "compile_filter"]

Predicate: TypeAlias = Callable[[dict[str, Any]], bool]
_Test: TypeAlias = Callable[[object], bool]

_NUMBERS: Final = (int, float)  # a tuple: `int | float` would be made anew for every row
MISSING: Final = object()
"""What stands where nothing stands; handed to tests like any value."""


def compile_filter(given: Mapping[str, Any]) -> Predicate:
    """A function that says whether an item's value meets the filter; `{}` means every item.

    Raises:
        QueryError: an unknown operator, an operator beside plain keys, an operand that no item could have, a key that
            is no string. `part` names the culprit.
    """
    return cast("Predicate", _object(given, "filter", top=True))


def _object(given: object, where: str, *, top: bool = False) -> _Test:
    if not isinstance(given, Mapping):
        raise QueryError(f"{where} is a {type(given).__name__}; a filter is a dict of fields.", part=where)
    tests: list[tuple[str, _Test]] = []
    for key, condition in cast("Mapping[object, object]", given).items():
        if not isinstance(key, str):
            raise QueryError(
                f"{where} has the key {key!r}, a {type(key).__name__}; keys are strings.", part=repr(key)
            )
        if top and key.startswith("$"):
            raise QueryError(
                f"{where} begins with {key!r}; an operator stands below a field, as in {{'age': {{'$gte': 18}}}}. "
                f"Known are {', '.join(OPERATORS)}.",
                part=key,
            )
        tests.append((key, _condition(condition, f"{where}[{key!r}]")))

    def test(value: object) -> bool:
        return isinstance(value, dict) and all(
            fits(_lookup(cast("dict[str, object]", value), key)) for key, fits in tests
        )

    return test


def _lookup(value: dict[str, object], key: str) -> object:
    """What stands at the key, or at the path that it is; the literal key wins at every level."""
    found = value.get(key, MISSING)
    if found is MISSING and "." in key:
        head, _, rest = key.partition(".")
        inner = value.get(head)
        if isinstance(inner, dict):
            return _lookup(cast("dict[str, object]", inner), rest)
    return found


def _condition(condition: object, where: str) -> _Test:
    if not isinstance(condition, Mapping):
        return _equals(condition, where)
    given = cast("Mapping[object, object]", condition)
    operators = [key for key in given if isinstance(key, str) and key.startswith("$")]
    if not operators:
        return _object(given, where)
    if len(operators) < len(given):
        plain = next(key for key in given if key not in operators)
        raise QueryError(
            f"{where} has the operator {operators[0]!r} beside the field {plain!r}.", part=operators[0]
        )
    tests: list[_Test] = []
    for name in operators:
        make = OPERATORS.get(name)
        if make is None:
            raise QueryError(
                f"{where} has the unknown operator {name!r}. Known are {', '.join(OPERATORS)}.", part=name
            )
        tests.append(make(given[name], f"{where}[{name!r}]"))
    return tests[0] if len(tests) == 1 else lambda value: all(fits(value) for fits in tests)


def _equals(operand: object, where: str) -> _Test:
    _check_json(operand, where)
    if operand is None:
        return lambda value: value is None or value is MISSING
    return lambda value: same(value, operand)


def _differs(operand: object, where: str) -> _Test:
    equals = _equals(operand, where)
    return lambda value: not equals(value)


def _compares(compare: Callable[[Any, Any], bool]) -> Callable[[object, str], _Test]:
    def make(operand: object, where: str) -> _Test:
        if isinstance(operand, str):
            return lambda value: isinstance(value, str) and compare(value, operand)
        if isinstance(operand, int | float) and not isinstance(operand, bool) and not math.isnan(operand):
            return lambda value: _is_number(value) and compare(value, operand)
        raise QueryError(f"{where} is {operand!r}; one compares with a number or a string.", part=where)

    return make


OPERATORS: Final[dict[str, Callable[[object, str], _Test]]] = {
    "$eq": _equals,
    "$ne": _differs,
    "$gt": _compares(lambda value, operand: value > operand),
    "$gte": _compares(lambda value, operand: value >= operand),
    "$lt": _compares(lambda value, operand: value < operand),
    "$lte": _compares(lambda value, operand: value <= operand),
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


def _is_number(value: object) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _check_json(operand: object, where: str) -> None:
    """An operand that no stored value could equal is a mistake, not an empty answer."""
    match operand:
        case None | str() | int():
            pass
        case float():
            if math.isnan(operand):
                raise QueryError(f"{where} is NaN, which equals nothing.", part=where)
        case list() | tuple():
            for place, element in enumerate(cast("list[object]", operand)):
                _check_json(element, f"{where}[{place}]")
        case Mapping():
            for key, element in cast("Mapping[object, object]", operand).items():
                if not isinstance(key, str):
                    raise QueryError(f"{where} has the key {key!r}; keys are strings.", part=repr(key))
                _check_json(element, f"{where}[{key!r}]")
        case _:
            raise QueryError(
                f"{where} is a {type(operand).__name__}; items hold JSON values only, so none could match.",
                part=where,
            )
