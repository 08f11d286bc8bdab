"""A key that takes any number of writes a step and assumes them equal. Imports `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value

__all__ = ["AnyValue"]


class AnyValue(BaseChannel[Value, Value, Value]):
    """Keeps the last of a step's writes for the next step. A step without a write empties it."""

    __slots__ = ("value",)

    value: Value | Absent

    def __init__(self, typ: Any, key: str = "") -> None:  # noqa: ANN401 - any type form
        """Without a value."""
        self.typ = typ
        self.key = key
        self.value = MISSING

    @override
    def checkpoint(self) -> Value | Absent:
        return self.value

    @override
    def from_checkpoint(self, checkpoint: Value | Absent) -> Self:
        made = self.blank()
        made.value = checkpoint
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
        if values:
            self.value = values[-1]
            return True
        if self.value is MISSING:
            return False
        self.value = MISSING
        return True
