"""The key with a reducer: each write is merged into the value by a function of two. Imports `base` and `start`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value, replacement
from perdure.channels.start import Start, start_of

__all__ = ["BinaryOperatorAggregate"]


class BinaryOperatorAggregate(BaseChannel[Value, Value, Value]):
    """Folds each write into its value: `value = operator(value, write)`.

    Starts from the type's empty value where it has one (`int()`, `list()` ...), else the first write is taken as it
    is. An `Overwrite` replaces the value; other writes of its step are dropped.

    Attributes:
        operator: the reducer; what it returns is the value, nothing is copied.
    """

    __slots__ = ("operator", "start", "value")

    value: Value | Absent

    def __init__(self, typ: type[Value], operator: Callable[[Value, Value], Value]) -> None:
        """At the type's empty value."""
        self.typ = typ
        self.key = ""
        self.operator = operator
        self.start: Start = start_of(typ)
        self.value = MISSING if self.start is None else self.start()

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, BinaryOperatorAggregate) and same_function(self.operator, other.operator)  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  # of whatever type

    __hash__ = BaseChannel.__hash__

    @override
    def copy(self) -> Self:
        return self._with(self.value)

    @override
    def checkpoint(self) -> Value | Absent:
        return self.value

    @override
    def from_checkpoint(self, checkpoint: Value | Absent) -> Self:
        if checkpoint is MISSING and self.start is not None:
            checkpoint = self.start()
        return self._with(checkpoint)

    def _with(self, value: Value | Absent) -> Self:
        made = self.blank()
        made.operator = self.operator
        made.start = self.start
        made.value = value
        return made

    @override
    def get(self) -> Value:
        value = self.value
        if value is MISSING:
            self.empty()
        return value

    @override
    def is_available(self) -> bool:
        return self.value is not MISSING

    @override
    def update(self, values: Sequence[Value]) -> bool:
        if not values:
            return False
        value: Any = replacement(values)
        if value is MISSING:
            operator = self.operator
            value = self.value
            for write in values:
                value = write if value is MISSING else operator(value, write)
        self.value = value
        return True


def same_function(one: Callable[..., object], other: Callable[..., object]) -> bool:
    """True if both are the same function. Two lambdas count as the same: nothing tells them apart for sure."""
    if one is other or one == other:
        return True
    return getattr(one, "__name__", "") == getattr(other, "__name__", None) == "<lambda>"
