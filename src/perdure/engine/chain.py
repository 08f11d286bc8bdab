"""What every kind of chain offers to the loop. A chain is a thread's checkpoints under one namespace.

NoChain       no saver: nothing is kept, memory is committed once a step   (unsaved.py)
OwnChain      our saver: one commit a step                                 (commit.py)
ForeignChain  somebody else's saver: memory first, then the checkpoint     (foreign.py)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from perdure.engine.apply import Applied
from perdure.engine.state import Live, Record, Task
from perdure.graph.spec import Write
from perdure.storage.chains import Head
from perdure.storage.staging import Layer, Operation
from perdure.types import Interrupt


@dataclass(slots=True)
class Finished:
    """What a task left: its writes and memory (None: not finished), or its error or questions; the answers it used."""

    task: Task
    writes: list[Write] | None = None
    operations: list[Operation] = field(default_factory=list[Operation])
    error: BaseException | None = None
    interrupts: tuple[Interrupt[Any], ...] = ()
    answers: list[Any] = field(default_factory=list[Any])
    recorded: bool = False


@dataclass(slots=True)
class Loaded:
    """A checkpoint to run from, and what is durable of the step after it."""

    head: Head | None  # None: the chain is new
    newest: str | None  # the chain's head, which may be another than the checkpoint that was asked for
    records: dict[str, Record] = field(default_factory=dict[str, Record])  # by task id
    operations: dict[str, list[Operation]] = field(default_factory=dict[str, list[Operation]])  # by task id
    recorded: dict[tuple[str, int], Operation] = field(
        default_factory=dict[tuple[str, int], Operation]
    )  # not judged yet
    lost: set[str] = field(default_factory=set[str])  # ids of tasks whose record counts no more
    answers: dict[str, Any] = field(
        default_factory=dict[str, Any]
    )  # by interrupt id, given by the run's callers
    updates: list[Write] = field(default_factory=list[Write])  # of a Command that was given as input


@dataclass(slots=True)
class Step:
    """A step to be made durable."""

    live: Live
    applied: Applied
    step: int
    source: str
    done: Sequence[Finished] = ()
    operations: Sequence[Operation] = ()
    hold: bool = False  # the next step follows at once and cannot fail to: both in one commit
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])


class Chain(Protocol):
    """One chain of one run."""

    thread: str | None
    ns: str
    saved: bool  # whether checkpoints are kept
    at: str  # id of the checkpoint that the next step starts from

    async def load(self, checkpoint: str | None) -> Loaded:
        """The checkpoint (None: the head) with its records. Raises what the saver raises."""
        ...

    async def begin(self, loaded: Loaded, live: Live) -> None:
        """From now on the chain is extended from what was loaded; an older checkpoint is forked."""
        ...

    async def step(self, step: Step) -> None:
        """The step is durable, or on its way to be (durability `async`), or kept for the end (`exit`).

        Raises:
            VersionConflict: a staged write's guard does not hold; nothing was written.
            StaleThread: somebody else extended the chain.
        """
        ...

    async def record(self, finished: Sequence[Finished]) -> None:
        """What tasks of an unfinished step left is durable (or kept for the end)."""
        ...

    async def answer(self, answers: dict[str, Any] | None, updates: Sequence[Write], known: int) -> None:
        """What the run's caller said is durable, so that a crash does not lose it; `known` updates are already."""
        ...

    async def settle(self) -> None:
        """Everything handed over is durable; raises the first error."""
        ...

    async def finish(self) -> None:
        """The run is over, however: what was kept for the end is written."""
        ...

    def layers(self) -> list[Layer]:
        """Memory on its way: committed soon, or at the end."""
        ...
