"""The keys behind `add_edge([...], node)`: readable once every name has been written. Imports `base`."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Self

from typing_extensions import override

from perdure.channels.base import MISSING, Absent, BaseChannel, Value
from perdure.errors import InvalidUpdateError

__all__ = ["NamedBarrierValue", "NamedBarrierValueAfterFinish"]


class NamedBarrierValue(BaseChannel[None, Value, set[Value]]):
    """Waits until each of its names was written, whatever steps that takes; then a task that uses it resets it.

    Attributes:
        names: the names to wait for.
        seen: those written since the last reset.
    """

    __slots__ = ("names", "seen")

    def __init__(self, typ: type[Value], names: AbstractSet[Value]) -> None:
        """Waiting for all of `names`."""
        self.typ: Any = typ
        self.key = ""
        self.names = names
        self.seen: set[Value] = set()

    @override
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.names == self.names

    __hash__ = BaseChannel.__hash__

    @override
    def checkpoint(self) -> set[Value]:
        return set(self.seen)

    @override
    def from_checkpoint(self, checkpoint: set[Value] | Absent) -> Self:
        made = self.blank()
        made.names = self.names
        made.seen = set() if checkpoint is MISSING else set(checkpoint)
        return made

    @override
    def get(self) -> None:
        if self.seen != self.names:
            self.empty()

    @override
    def is_available(self) -> bool:
        return self.seen == self.names

    @override
    def update(self, values: Sequence[Value]) -> bool:
        changed = False
        for value in values:
            if value not in self.names:
                raise InvalidUpdateError(f"At key '{self.key}': Value {value!r} not in {self.names!r}")
            if value not in self.seen:
                self.seen.add(value)
                changed = True
        return changed

    @override
    def consume(self) -> bool:
        if self.seen != self.names:
            return False
        self.seen = set()
        return True


class NamedBarrierValueAfterFinish(BaseChannel[None, Value, tuple[set[Value], bool]]):
    """As `NamedBarrierValue`, but readable only when the run has nothing else to do.

    Attributes:
        names: the names to wait for.
        seen: those written since the last reset.
        finished: the run has had nothing else to do since all were seen.
    """

    __slots__ = ("finished", "names", "seen")

    def __init__(self, typ: type[Value], names: AbstractSet[Value]) -> None:
        """Waiting for all of `names`."""
        self.typ: Any = typ
        self.key = ""
        self.names = names
        self.seen: set[Value] = set()
        self.finished = False

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, NamedBarrierValueAfterFinish) and other.names == self.names  # pyright: ignore[reportUnknownMemberType]  # of whatever type

    __hash__ = BaseChannel.__hash__

    @override
    def checkpoint(self) -> tuple[set[Value], bool]:
        return set(self.seen), self.finished

    @override
    def from_checkpoint(self, checkpoint: tuple[set[Value], bool] | Absent) -> Self:
        made = self.blank()
        made.names = self.names
        seen, made.finished = (set[Value](), False) if checkpoint is MISSING else checkpoint
        made.seen = set(seen)
        return made

    @override
    def get(self) -> None:
        if not self.is_available():
            self.empty()

    @override
    def is_available(self) -> bool:
        return self.finished and self.seen == self.names

    @override
    def update(self, values: Sequence[Value]) -> bool:
        changed = False
        for value in values:
            if value not in self.names:
                raise InvalidUpdateError(f"At key '{self.key}': Value {value!r} not in {self.names!r}")
            if value not in self.seen:
                self.seen.add(value)
                changed = True
        return changed

    @override
    def consume(self) -> bool:
        if not self.is_available():
            return False
        self.seen = set()
        self.finished = False
        return True

    @override
    def finish(self) -> bool:
        if self.finished or self.seen != self.names:
            return False
        self.finished = True
        return True
