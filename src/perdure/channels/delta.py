"""The key with a batch reducer: one call merges all writes of a step. Imports `base`, `start` and `binop`.

The name is the field's, where this kind of key alone is stored as deltas. In Perdure every key is: so what is left of
it is the reducer's signature. `checkpoint()` gives the whole value, and storage finds out what changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, cast

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value, replacement
from perdure.channels.binop import same_function
from perdure.channels.start import Start, start_of

__all__ = ["DeltaChannel"]


class DeltaChannel(BaseChannel[Value, Any, Value]):
    """Merges all writes of a step at once: `value = reducer(value, writes)`.

    Attributes:
        reducer: takes the value and the list of a step's writes, gives the new value.
        snapshot_frequency: accepted for compatibility; storage decides by itself when to write a value anew.
    """

    __slots__ = ("reducer", "snapshot_frequency", "start", "typed", "value")

    value: Value | Absent

    def __init__(
        self,
        reducer: Callable[[Any, Sequence[Any]], Any],
        typ: type[Value] | None = None,
        *,
        snapshot_frequency: int = 100,
    ) -> None:
        """At the type's empty value; the type is `list` unless given here or by the schema (`for_type`)."""
        if snapshot_frequency < 1:
            raise ValueError(f"snapshot_frequency must be a positive int, got {snapshot_frequency!r}")
        self.key = ""
        self.reducer = reducer
        self.snapshot_frequency = snapshot_frequency
        self.typed = typ is not None
        self.typ = cast("type[Value]", list) if typ is None else typ
        self.start: Start = start_of(self.typ)
        self.value = MISSING if self.start is None else self.start()

    def for_type(self, typ: Any) -> DeltaChannel[Any]:  # noqa: ANN401 - any type form
        """A fresh channel for a key that the schema declares with this type; the constructor's type wins."""
        wanted: Any = self.typ if self.typed else typ
        made: DeltaChannel[Any] = DeltaChannel(
            self.reducer, wanted, snapshot_frequency=self.snapshot_frequency
        )
        made.key = self.key
        return made

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, DeltaChannel) and same_function(self.reducer, other.reducer)

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
        made.reducer = self.reducer
        made.snapshot_frequency = self.snapshot_frequency
        made.typed = self.typed
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
    def update(self, values: Sequence[Any]) -> bool:
        if not values:
            return False
        value: Any = replacement(values)
        self.value = self.reducer(self._base(), list(values)) if value is MISSING else value
        return True

    def replay_writes(self, writes: Sequence[tuple[str, str, Any]]) -> None:
        """Applies writes of earlier steps, `(task id, channel, value)`, oldest first, on top of the present value.

        The steps they came from are not known, so the last `Overwrite` counts, and what was written after it.
        """
        values = [value for _, _, value in writes]
        for at in range(len(values) - 1, -1, -1):
            base = replacement(values[at : at + 1])
            if base is not MISSING:
                self.value = base
                values = values[at + 1 :]
                break
        if values:
            self.value = self.reducer(self._base(), values)

    def _base(self) -> Any:  # noqa: ANN401 - a value of the user's type; None where the type has no empty value
        return None if self.value is MISSING else self.value
