"""A key whose value is seen for one step. Imports `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value, two_writes

__all__ = ["EphemeralValue"]


class EphemeralValue(BaseChannel[Value, Value, Value]):
    """Shows a value in the step after its write, then forgets it.

    Attributes:
        guard: True: several writes in one step are an error; False: the last one counts.
    """

    __slots__ = ("guard", "value")

    value: Value | Absent

    def __init__(self, typ: Any, guard: bool = True) -> None:  # noqa: ANN401 - any type form
        """Without a value."""
        self.typ = typ
        self.key = ""
        self.guard = guard
        self.value = MISSING

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, EphemeralValue) and other.guard == self.guard

    __hash__ = BaseChannel.__hash__

    @override
    def checkpoint(self) -> Value | Absent:
        return self.value

    @override
    def from_checkpoint(self, checkpoint: Value | Absent) -> Self:
        made = self.blank()
        made.guard = self.guard
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
        if not values:
            if self.value is MISSING:
                return False
            self.value = MISSING
            return True
        if self.guard and len(values) != 1:
            raise two_writes(self.key, "Use EphemeralValue(guard=False) to keep any one of them.")
        self.value = values[-1]
        return True
