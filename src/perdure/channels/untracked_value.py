"""A key that lives as long as the run and is never saved. Imports `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value, two_writes

__all__ = ["UntrackedValue"]


class UntrackedValue(BaseChannel[Value, Value, Any]):
    """Keeps the last value written during the run. `checkpoint()` always gives `MISSING`.

    Attributes:
        guard: True: several writes in one step are an error; False: the last one counts.
    """

    __slots__ = ("guard", "value")

    value: Value | Absent

    def __init__(self, typ: type[Value], guard: bool = True) -> None:
        """Without a value."""
        self.typ = typ
        self.key = ""
        self.guard = guard
        self.value = MISSING

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntrackedValue) and other.guard == self.guard

    __hash__ = BaseChannel.__hash__

    @override
    def copy(self) -> Self:
        made = self.blank()
        made.guard = self.guard
        made.value = self.value
        return made

    @override
    def checkpoint(self) -> Absent:
        return MISSING

    @override
    def from_checkpoint(self, checkpoint: Any) -> Self:
        made = self.blank()
        made.guard = self.guard
        made.value = MISSING  # whatever an older schema may have saved under this key
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
        if self.guard and len(values) != 1:
            raise two_writes(self.key, "Use UntrackedValue(guard=False) to keep any one of them.")
        self.value = values[-1]
        return True
