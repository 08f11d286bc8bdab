"""The plain key: it has the last value written, and takes one a step. Imports `base`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value, two_writes
from perdure.types import Overwrite

__all__ = ["LastValue", "LastValueAfterFinish"]


class LastValue(BaseChannel[Value, Value, Value]):
    """Keeps the last value written. Two writes in one step are an error: nobody could say which one counts."""

    __slots__ = ("value",)

    value: Value | Absent

    def __init__(self, typ: Any, key: str = "") -> None:  # noqa: ANN401 - any type form
        """Without a value."""
        self.typ = typ
        self.key = key
        self.value = MISSING

    @override
    def copy(self) -> Self:
        made = self.blank()
        made.value = self.value
        return made

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
        if not values:
            return False
        if len(values) != 1:
            raise two_writes(self.key, "Use an Annotated key to handle multiple values.")
        value = values[0]
        self.value = value.value if type(value) is Overwrite else value
        return True


class LastValueAfterFinish(BaseChannel[Value, Value, tuple[Value, bool]]):
    """Keeps the last value written, and shows it only when the run has nothing else to do. Once used, it is gone."""

    __slots__ = ("finished", "value")

    value: Value | Absent

    def __init__(self, typ: Any, key: str = "") -> None:  # noqa: ANN401 - any type form
        """Without a value."""
        self.typ = typ
        self.key = key
        self.value = MISSING
        self.finished = False

    @override
    def checkpoint(self) -> tuple[Value, bool] | Absent:
        value = self.value
        return MISSING if value is MISSING else (value, self.finished)

    @override
    def from_checkpoint(self, checkpoint: tuple[Value, bool] | Absent) -> Self:
        made = self.blank()
        made.value, made.finished = (MISSING, False) if checkpoint is MISSING else checkpoint
        return made

    @override
    def get(self) -> Value:
        value = self.value
        if value is MISSING or not self.finished:
            self.empty()
        return value

    @override
    def is_available(self) -> bool:
        return self.finished and self.value is not MISSING

    @override
    def update(self, values: Sequence[Value]) -> bool:
        if not values:
            return False
        self.value = values[-1]
        self.finished = False
        return True

    @override
    def consume(self) -> bool:
        if not self.finished:
            return False
        self.value = MISSING
        self.finished = False
        return True

    @override
    def finish(self) -> bool:
        if self.finished or self.value is MISSING:
            return False
        self.finished = True
        return True
