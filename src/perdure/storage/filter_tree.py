"""A filter, checked and taken apart: what it asks, as frozen values.

Here: the nodes, `parse_filter`, every refusal. Not here: deciding about a value (`filters.py`); a backend may read the
tree, too, and have its database preselect.

Depth and size are bounded, so that a filter from outside can neither exhaust the stack nor the memory.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from perdure.errors import QueryError
from perdure.storage.filter_paths import Path
from perdure.storage.item_json import ITEM_BYTES, ITEM_DEPTH

__all__ = [
    "FILTER_CONDITIONS",
    "FILTER_DEPTH",
    "OPERATORS",
    "AllOf",
    "AnyOf",
    "At",
    "IsObject",
    "Node",
    "Not",
    "Test",
    "parse_filter",
]

FILTER_DEPTH: Final = 50
"""Conditions lie within conditions at most so deep."""
FILTER_CONDITIONS: Final = 100_000
"""A filter has at most so many; the operands of one `$in` are one condition."""


@dataclass(frozen=True, slots=True)
class Test:
    """The value at hand compares so with the operand. `operator` is one of the value operators, without `$`."""

    operator: str
    operand: Any


@dataclass(frozen=True, slots=True)
class IsObject:
    """The value at hand is a JSON object."""


@dataclass(frozen=True, slots=True)
class At:
    """What stands at the path, seen from the value at hand, meets the condition; with `[*]`: one of the elements does."""

    path: Path
    condition: Node


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; none given: it holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold; right under a path with `[*]`: it holds for none of the elements."""

    part: Node


Node: TypeAlias = Test | IsObject | At | AllOf | AnyOf | Not


def parse_filter(given: object) -> Node:
    """What the filter asks of an item's value.

    Raises:
        QueryError: an unknown operator, an operator beside plain keys, an operand that no item could have, a key that
            is no string, too many conditions or too deep ones. `part` names the culprit.
    """
    return _Parser().whole(given, "filter", 1)


class _Parser:
    """One filter's parsing; counts as it goes, since a filter may lie within itself."""

    def __init__(self) -> None:
        self._count = 0

    def whole(self, given: object, where: str, depth: int) -> Node:
        """A filter, of an item's whole value: fields, and `$and`, `$or`, `$not` of filters."""
        if not isinstance(given, Mapping):
            raise QueryError(
                f"{where} is a {type(given).__name__}; a filter is a dict of fields.", part=where
            )
        self._enter(where, depth)
        parts: list[Node] = []
        for key, condition in cast("Mapping[object, object]", given).items():
            if isinstance(key, str) and key.startswith("$"):
                if key not in _LOGIC:
                    raise QueryError(_misplaced(where, key), part=key)
                parts.append(self._logic(key, condition, f"{where}[{key!r}]", depth, self.whole))
            else:
                parts.append(self._field(key, condition, where, depth))
        return _all_of(parts)

    def _field(self, key: object, condition: object, where: str, depth: int) -> Node:
        if not isinstance(key, str):
            raise QueryError(
                f"{where} has the key {key!r}, a {type(key).__name__}; keys are strings.", part=repr(key)
            )
        return At(Path(key), self.condition(condition, f"{where}[{_short(key)}]", depth + 1))

    def condition(self, condition: object, where: str, depth: int) -> Node:
        """What a field is to meet: a plain value, an object of fields, or operators."""
        self._enter(where, depth)
        if not isinstance(condition, Mapping):
            return Test("eq", _operand(condition, where))
        given = cast("Mapping[object, object]", condition)
        operators = [key for key in given if isinstance(key, str) and key.startswith("$")]
        if not operators:
            fields = [self._field(key, inner, where, depth) for key, inner in given.items()]
            return AllOf((IsObject(), *fields))
        if len(operators) < len(given):
            plain = next(key for key in given if key not in operators)
            raise QueryError(
                f"{where} has the operator {operators[0]!r} beside the field {plain!r}.", part=operators[0]
            )
        return _all_of([self._operator(name, given[name], f"{where}[{name!r}]", depth) for name in operators])

    def _operator(self, name: str, operand: object, where: str, depth: int) -> Node:
        if name in _LOGIC:
            return self._logic(name, operand, where, depth, self.condition)
        check = _VALUE_OPERATORS.get(name)
        if check is None:
            raise QueryError(f"{where} is an unknown operator. {_known()}", part=name)
        self._enter(where, depth)
        return Test(name[1:], check(operand, where))

    def _logic(
        self, name: str, operand: object, where: str, depth: int, parse: Callable[[object, str, int], Node]
    ) -> Node:
        if name == "$not":
            return Not(parse(operand, where, depth + 1))
        kind = "filters" if parse == self.whole else "conditions"
        if not isinstance(operand, list | tuple):
            raise QueryError(
                f"{where} is a {type(operand).__name__}; {name} takes a list of {kind}.", part=name
            )
        if not operand:
            raise QueryError(f"{where} is empty; {name} takes at least one of the {kind}.", part=name)
        elements = cast("list[object]", operand)
        parts = tuple(parse(one, f"{where}[{place}]", depth + 1) for place, one in enumerate(elements))
        return AllOf(parts) if name == "$and" else AnyOf(parts)

    def _enter(self, where: str, depth: int) -> None:
        self._count += 1
        if depth > FILTER_DEPTH:
            raise QueryError(
                f"{where[:80]}... is nested deeper than {FILTER_DEPTH} conditions. Write it flatter.",
                part=where[:80],
            )
        if self._count > FILTER_CONDITIONS:
            raise QueryError(
                f"The filter has more than {FILTER_CONDITIONS} conditions. Write $in for many values of one field.",
                part="filter",
            )


# ---- operands


def _operand(operand: object, where: str) -> object:
    """An operand that no stored value could equal is a mistake, not an empty answer."""
    _check_json(operand, where, 0, 1)
    return operand


def _comparable(operand: object, where: str) -> object:
    if isinstance(operand, str):
        return operand
    if isinstance(operand, int) and not isinstance(operand, bool):
        return operand  # of any size: `isnan` takes those that are floats, too, and no others
    if isinstance(operand, float) and not math.isnan(operand):
        return operand
    raise QueryError(f"{where} is {_short(operand)}; one compares with a number or a string.", part=where)


def _operands(operand: object, where: str) -> tuple[object, ...]:
    if not isinstance(operand, list | tuple):
        raise QueryError(
            f"{where} is a {type(operand).__name__}; it takes a list of values, of which one is enough.",
            part=where,
        )
    elements = tuple(cast("list[object]", operand))
    for place, element in enumerate(elements):
        _check_json(element, f"{where}[{place}]", 0, 1)
    return elements


def _boolean(operand: object, where: str) -> bool:
    if not isinstance(operand, bool):
        raise QueryError(
            f"{where} is {_short(operand)}; write True (it is there, null included) or False.", part=where
        )
    return operand


_VALUE_OPERATORS: Final[dict[str, Callable[[object, str], object]]] = {
    "$eq": _operand,
    "$ne": _operand,
    "$gt": _comparable,
    "$gte": _comparable,
    "$lt": _comparable,
    "$lte": _comparable,
    "$in": _operands,
    "$nin": _operands,
    "$exists": _boolean,
    "$contains": _operand,
}
_LOGIC: Final = ("$and", "$or", "$not")
OPERATORS: Final = (*_VALUE_OPERATORS, *_LOGIC)
"""All that are known."""


def _check_json(operand: object, where: str, weight: int, depth: int) -> int:
    """Raises if no stored value could equal it; returns how many parts there are so far."""
    weight += 1
    if weight > ITEM_BYTES or depth > ITEM_DEPTH + 1:
        raise QueryError(
            f"{where[:80]} is larger, or nested deeper, than an item can be, so none could match.",
            part=where[:80],
        )
    match operand:
        case None | str() | int():
            pass
        case float():
            if not math.isfinite(operand):
                raise QueryError(f"{where} is {operand!r}, which no item holds.", part=where)
        case list() | tuple():
            for place, element in enumerate(cast("list[object]", operand)):
                weight = _check_json(element, f"{where}[{place}]", weight, depth + 1)
        case Mapping():
            for key, element in cast("Mapping[object, object]", operand).items():
                if not isinstance(key, str):
                    raise QueryError(f"{where} has the key {key!r}; keys are strings.", part=repr(key))
                weight = _check_json(element, f"{where}[{_short(key)}]", weight, depth + 1)
        case _:
            raise QueryError(
                f"{where} is a {type(operand).__name__}; items hold JSON values only, so none could match.",
                part=where,
            )
    return weight


def _all_of(parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _misplaced(where: str, key: str) -> str:
    if key in OPERATORS:
        return (
            f"{where} begins with {key!r}; this operator stands below a field, as in {{'age': {{'$gte': 18}}}}. "
            f"{_known()}"
        )
    return f"{where} has the unknown operator {key!r}. {_known()}"


def _known() -> str:
    return f"Known are {', '.join(OPERATORS)}."


def _short(given: object) -> str:
    """As it is written, of a length that a message bears."""
    try:
        text = repr(given[:80] if isinstance(given, str) else given)
    except (ValueError, RecursionError):  # an integer of very many digits, a deep list
        text = f"a {type(given).__name__}"
    return text if len(text) <= 90 else text[:80] + "..."
