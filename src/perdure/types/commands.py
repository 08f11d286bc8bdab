"""What user code says to the engine: `Command`, `Send`, `Overwrite`, and names given as enum members.

Frozen values without behaviour; what they mean is decided in the engine. Imports `policies` for a `Send`'s timeout.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, ClassVar, Generic, Literal

from typing_extensions import TypeVar

from perdure.constants import PARENT
from perdure.late import Late, late_base
from perdure.types.policies import TimeoutPolicy

__all__ = ["Command", "Overwrite", "Send", "as_name"]

N = TypeVar("N", bound=Hashable, default=str)
"""The names of the nodes a command may go to."""


def as_name(name: object) -> str:
    """The name as a plain string: an enum member stands for its value, everywhere.

    Raises:
        TypeError: it is neither a string nor an enum member with a string value.
    """
    if type(name) is str:
        return name
    plain: object = name.value if isinstance(name, Enum) else name
    if isinstance(plain, str):
        return str(plain)
    raise TypeError(f"a name must be a string or an enum member whose value is one, not {name!r}")


class Send:
    """Run `node` in the next step with `arg` as its whole input.

    Args:
        node: name of the node.
        arg: its input, instead of the state; taken as it is.
        timeout: replaces the node's own timeout for this one task; a number means seconds for the whole attempt.
    """

    __slots__ = ("arg", "node", "timeout")

    node: str
    arg: Any
    timeout: TimeoutPolicy | None

    def __init__(
        self,
        /,
        node: str,
        arg: Any,  # noqa: ANN401 - a user's value
        *,
        timeout: float | timedelta | TimeoutPolicy | None = None,
    ) -> None:
        """An enum member as `node` stands for its value."""
        self.node = node if type(node) is str else as_name(node)
        self.arg = arg
        self.timeout = None if timeout is None else TimeoutPolicy.coerce(timeout)

    def __eq__(self, other: object) -> bool:
        """Equal if node, argument and timeout are."""
        if not isinstance(other, Send):
            return NotImplemented
        return self.node == other.node and self.arg == other.arg and self.timeout == other.timeout

    def __hash__(self) -> int:
        """As hashable as its argument is."""
        return hash((self.node, self.arg, self.timeout))

    def __repr__(self) -> str:
        """As one would write it."""
        timeout = "" if self.timeout is None else f", timeout={self.timeout!r}"
        return f"Send(node={self.node!r}, arg={self.arg!r}{timeout})"


# Of this base, LangChain's `@tool` hands a returned command on; anything else it turns into text.
@late_base("langchain_core.messages.tool", "ToolOutputMixin", extra="langchain")
@dataclass(frozen=True, kw_only=True, repr=False)
class Command(Late, Generic[N]):
    """An update and a jump in one return value; or, as a run's input, the answer to a question.

    Attributes:
        graph: which graph it is for: None is this one, `Command.PARENT` the nearest around it.
        update: what to write: a mapping, `(key, value)` pairs, or an instance of an annotated class.
        resume: the answer to the open interrupt, or a mapping from interrupt ids to answers.
        goto: where to go next, besides the ordinary edges: a node's name, a `Send`, or a sequence of them.
    """

    graph: str | None = None
    update: Any = None
    resume: dict[str, Any] | Any = None
    goto: Send | Sequence[Send | N] | N = ()

    PARENT: ClassVar[Literal["__parent__"]] = PARENT

    def __repr__(self) -> str:
        """As one would write it: only what is given."""
        given = {"graph": self.graph, "update": self.update, "resume": self.resume, "goto": self.goto}
        shown = (
            f"{name}={value!r}"
            for name, value in given.items()
            if value is not None and not (type(value) is tuple and not value)
        )
        return f"Command({', '.join(shown)})"


@dataclass(slots=True)
class Overwrite:
    """An update that replaces the value of its key and bypasses the reducer.

    Other updates of the same step to that key are dropped; two of these in one step are an error.
    """

    value: Any
    type: Literal["__overwrite__"] = "__overwrite__"
