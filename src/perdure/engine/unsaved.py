"""A run without a saver: no checkpoints; memory is committed once a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure import clock
from perdure.engine.chain import Finished, Loaded, Step
from perdure.engine.memory import Memory, write_memory
from perdure.engine.ports import Ports
from perdure.engine.state import Live
from perdure.graph.spec import Write
from perdure.storage.staging import Layer


class NoChain:
    """Keeps nothing."""

    saved = False

    def __init__(self, memory: Memory, ports: Ports, *, thread: str | None, ns: str) -> None:
        self.memory = memory
        self.ports = ports
        self.thread = thread
        self.ns = ns
        self._steps = 0
        self._run = clock.new_checkpoint_id()
        self.at = f"{self._run}/0"  # an id of its own for every step, so that tasks have different ones

    async def load(self, checkpoint: str | None) -> Loaded:
        """Nothing."""
        return Loaded(None, None)

    async def begin(self, loaded: Loaded, live: Live) -> None:
        """Nothing to go on from."""

    async def step(self, step: Step) -> None:
        """Commits the step's memory."""
        if step.operations:
            await write_memory(self.memory, self.ports, step.operations)
        self._steps += 1
        self.at = f"{self._run}/{self._steps}"

    async def record(self, finished: Sequence[Finished]) -> None:
        """Nothing: memory of an unfinished step is dropped with it."""

    async def answer(self, answers: dict[str, Any] | None, updates: Sequence[Write], known: int) -> None:
        """Nothing: there is no thread to answer on."""

    async def settle(self) -> None:
        """Nothing is on its way."""

    async def finish(self) -> None:
        """Nothing is left."""

    def layers(self) -> list[Layer]:
        """Nothing is on its way."""
        return []
