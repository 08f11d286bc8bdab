"""The key that lists everything written to it. Imports `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, Union, cast

from typing_extensions import override

from perdure.channels.base import Absent, BaseChannel, Value

__all__ = ["Topic"]


class Topic(BaseChannel[list[Value], Value | list[Value], list[Value]]):
    """Lists the values of the last step's writes, lists among them laid flat; empties after a step without one.

    Attributes:
        accumulate: True: keeps the values of all steps.
    """

    __slots__ = ("accumulate", "values")

    def __init__(self, typ: type[Value], accumulate: bool = False) -> None:
        """Empty; `typ` is the type of one value."""
        self.typ = typ
        self.key = ""
        self.accumulate = accumulate
        self.values: list[Value] = []  # replaced, never changed in place: it is handed out by `checkpoint`

    @property
    @override
    def ValueType(self) -> Any:
        return list[self.typ]

    @property
    @override
    def UpdateType(self) -> Any:
        return Union[self.typ, list[self.typ]]  # noqa: UP007 - `|` does not work for every type form

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Topic) and other.accumulate == self.accumulate

    __hash__ = BaseChannel.__hash__

    @override
    def copy(self) -> Self:
        return self._with(self.values)

    @override
    def checkpoint(self) -> list[Value]:
        return self.values

    @override
    def from_checkpoint(self, checkpoint: list[Value] | Absent) -> Self:
        return self._with(list(checkpoint) if checkpoint else [])

    def _with(self, values: list[Value]) -> Self:
        made = self.blank()
        made.accumulate = self.accumulate
        made.values = values
        return made

    @override
    def get(self) -> list[Value]:
        if not self.values:
            self.empty()
        return list(self.values)

    @override
    def is_available(self) -> bool:
        return bool(self.values)

    @override
    def update(self, values: Sequence[Value | list[Value]]) -> bool:
        new: list[Value] = []
        for value in values:
            if isinstance(value, list):
                new.extend(cast("list[Value]", value))
            else:
                new.append(value)
        if self.accumulate:
            if not new:
                return False
            self.values = self.values + new
            return True
        changed = bool(new or self.values)
        self.values = new
        return changed
