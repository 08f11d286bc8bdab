"""The contract of a channel: one key of the state, with its rule for what several writes make of it.

Here: `BaseChannel`, the sentinel `MISSING`, and what more than one kind of channel needs.
Not here: versions and triggers; the engine keeps those. A channel knows nothing of time, tasks or storage.
Imports `errors` and `types`; imported by the other channels, `graph` and `engine`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, Generic, Literal, NoReturn, Self

from typing_extensions import TypeVar

from perdure.constants import OVERWRITE
from perdure.errors import EmptyChannelError, ErrorCode, InvalidUpdateError, create_error_message
from perdure.types import Overwrite

__all__ = ["MISSING", "BaseChannel", "Missing", "replacement", "two_writes"]


class Missing(Enum):
    """The type of `MISSING`, so that a type checker can tell it from a value."""

    MISSING = "MISSING"

    def __repr__(self) -> str:
        """`MISSING`."""
        return "MISSING"

    def __bool__(self) -> bool:
        """False, as for other kinds of nothing."""
        return False


MISSING: Final = Missing.MISSING
"""No value: unlike None, which is one."""

Absent = Literal[Missing.MISSING]

Value = TypeVar("Value", default=Any)
"""What a channel gives."""
Update = TypeVar("Update", default=Any)
"""What can be written to it."""
Stored = TypeVar("Stored", default=Any)
"""What is saved of it."""


class BaseChannel(Generic[Value, Update, Stored], ABC):
    """One key of the state.

    Promises of every channel: values that were written or handed out are never changed in place; equal writes in
    equal order give equal values; nothing but the methods below changes it. Not for several threads at once.

    Attributes:
        typ: the type of its value, for schemas and start values; never enforced.
        key: its name, for messages; set by the graph.
    """

    __slots__ = ("key", "typ")

    def __init__(self, typ: Any, key: str = "") -> None:  # noqa: ANN401 - any type form
        """Without a value, unless the kind of channel says otherwise."""
        self.typ = typ
        self.key = key

    # ---- what it is

    @property
    def ValueType(self) -> Any:  # noqa: ANN401 - any type form; the field's name
        """The type of what it gives."""
        return self.typ

    @property
    def UpdateType(self) -> Any:  # noqa: ANN401 - as above
        """The type of what can be written."""
        return self.typ

    def __eq__(self, other: object) -> bool:
        """True if it treats writes alike; values do not count. So a schema can tell whether two keys agree."""
        return type(self) is type(other)

    def __hash__(self) -> int:
        """By kind, to agree with `==`."""
        return hash(type(self))

    # ---- saving

    def copy(self) -> Self:
        """A channel of its own with the same value."""
        return self.from_checkpoint(self.checkpoint())

    def checkpoint(self) -> Stored | Absent:
        """What to save: enough for `from_checkpoint`. `MISSING` if there is nothing, or nothing may be saved."""
        try:
            return self.get()  # type: ignore[return-value]  # what is saved is the value, unless a subclass says otherwise
        except EmptyChannelError:
            return MISSING

    @abstractmethod
    def from_checkpoint(self, checkpoint: Stored | Absent) -> Self:
        """A new channel of the same kind with what was saved; fresh if that is `MISSING`."""

    # ---- reading

    @abstractmethod
    def get(self) -> Value:
        """The value.

        Raises:
            EmptyChannelError: it has none.
        """

    def is_available(self) -> bool:
        """True if it has a value."""
        try:
            self.get()
        except EmptyChannelError:
            return False
        return True

    # ---- writing

    @abstractmethod
    def update(self, values: Sequence[Update]) -> bool:
        """Takes all writes of a step, in the order of tasks; True if that changed it.

        Called with no values at the end of each step in which nothing was written to it.

        Raises:
            InvalidUpdateError: these writes cannot stand together. The value is as before.
        """

    def consume(self) -> bool:
        """A task that waited for this channel was made; True if that changed it."""
        return False

    def finish(self) -> bool:
        """The run has nothing else to do; True if that changed it."""
        return False

    # ---- for subclasses

    def blank(self) -> Self:
        """A new channel of the same kind, type and key; the subclass sets the rest."""
        made = object.__new__(type(self))
        made.typ = self.typ
        made.key = self.key
        return made

    def empty(self) -> NoReturn:
        """Raises the error for reading a channel without a value."""
        raise EmptyChannelError(
            f"channel {self.key!r} has no value" if self.key else "the channel has no value"
        )

    def __repr__(self) -> str:
        """Kind, key and value."""
        value = self.get() if self.is_available() else MISSING
        return f"<{type(self).__name__} {self.key or '?'}: {value!r}>"


def two_writes(key: str, hint: str) -> InvalidUpdateError:
    """The error for several writes in one step to a key that takes one."""
    return InvalidUpdateError(
        create_error_message(
            message=f"At key '{key}': Can receive only one value per step. {hint}",
            error_code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
        )
    )


def replacement(values: Sequence[Any]) -> Any:  # noqa: ANN401 - a user's value
    """The value that an `Overwrite` among the writes asks for; `MISSING` if there is none.

    The dict `{"__overwrite__": value}` counts as one, too: it is what arrives over the wire.

    Raises:
        InvalidUpdateError: there are two.
    """
    found: Any = MISSING
    for value in values:
        kind = type(value)  # pyright: ignore[reportUnknownVariableType]  # of any value
        if kind is Overwrite:
            wanted = value.value
        elif kind is dict and len(value) == 1 and OVERWRITE in value:
            wanted = value[OVERWRITE]
        else:
            continue
        if found is not MISSING:
            raise InvalidUpdateError(
                create_error_message(
                    message="Can receive only one Overwrite value per super-step.",
                    error_code=ErrorCode.INVALID_CONCURRENT_GRAPH_UPDATE,
                )
            )
        found = wanted
    return found
