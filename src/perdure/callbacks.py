"""What LangChain callback handlers may learn of a graph beside chains and models: that a run paused, that it goes on.

Here: the two events, and `GraphCallbackHandler`, a class with LangChain's `BaseCallbackHandler` as base: it is made when it
is first asked for, so that nobody else imports LangChain. Not here: who calls it (`perdure.integrations.langchain`).
"""

from __future__ import annotations

# pyright: reportMissingImports=false, reportUntypedBaseClass=false, reportUnknownVariableType=false
# LangChain is optional. Where it is not installed, the handler's base is unknown to a type checker, too.
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from perdure.late import class_with
from perdure.types import Interrupt

__all__ = [
    "GraphCallbackHandler",
    "GraphInterruptEvent",
    "GraphLifecycleEvent",
    "GraphLifecycleStatus",
    "GraphResumeEvent",
]

GraphLifecycleStatus = Literal[
    "input", "pending", "done", "interrupt_before", "interrupt_after", "out_of_steps"
]
"""`pending`: tasks are due, or ask; `interrupt_before`, `interrupt_after`: a breakpoint was reached."""


@dataclass(frozen=True, slots=True)
class GraphLifecycleEvent:
    """What both events tell.

    Attributes:
        run_id: of the run in LangChain's callbacks.
        status: where the run stands.
        checkpoint_id: the checkpoint it stands at.
        checkpoint_ns: of which graph: `()` is the outermost, else the nodes that lead to it.
    """

    run_id: UUID | None
    status: GraphLifecycleStatus
    checkpoint_id: str
    checkpoint_ns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GraphInterruptEvent(GraphLifecycleEvent):
    """A run paused.

    Attributes:
        interrupts: its open questions; empty at a breakpoint.
    """

    interrupts: tuple[Interrupt[Any], ...]


@dataclass(frozen=True, slots=True)
class GraphResumeEvent(GraphLifecycleEvent):
    """A run goes on from a checkpoint."""


class _Handler:
    """Base class of handlers in `config["callbacks"]` that want to know when a run pauses and when it goes on.

    A LangChain `BaseCallbackHandler` with two methods more; both may be coroutines. An error in one is logged and the run
    goes on, unless the handler's `raise_error` is true.
    """

    def on_interrupt(self, event: GraphInterruptEvent) -> Any:  # noqa: ANN401 - a coroutine, or nothing
        """The run paused, with questions or at a breakpoint. Called once, for the outermost graph."""

    def on_resume(self, event: GraphResumeEvent) -> Any:  # noqa: ANN401 - a coroutine, or nothing
        """A graph goes on. Called for every graph that does, the outermost first."""


if TYPE_CHECKING:
    from langchain_core.callbacks.base import BaseCallbackHandler

    class GraphCallbackHandler(_Handler, BaseCallbackHandler):
        """See `_Handler`."""


def __getattr__(name: str) -> object:
    if name == "GraphCallbackHandler":
        module = "langchain_core.callbacks.base"
        made = class_with(_Handler, module, "BaseCallbackHandler", extra="langchain", name=name)
        return globals().setdefault(name, made)  # asked for once
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
