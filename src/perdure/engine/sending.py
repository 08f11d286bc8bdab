"""How the commits of one chain are sent: with the memory of their tasks, computed anew if need be, some of them in flight.

Here: `Sender`, and the head that the next commit expects. Not here: rows (`parts.py`, `drafts.py`), what memory comes to
(`memory.py`), waiting (`ports.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from perdure import clock
from perdure.engine.memory import (
    TRIES,
    Memory,
    can_repeat,
    embedded,
    needs_answer,
    pause_before,
    resolve,
    write_memory,
)
from perdure.engine.parts import Parts
from perdure.engine.ports import Pending, Ports
from perdure.errors import VersionConflict
from perdure.storage import outcome
from perdure.storage.contract import Backend, CheckpointIs, Commit, ItemIs, PutItem, Revision
from perdure.storage.staging import Layer, Operation
from perdure.storage.upkeep import wrote

__all__ = ["IN_FLIGHT", "Sender"]

IN_FLIGHT: Final = 16
"""Commits of a run that may be on their way at once."""


class Sender:
    """Sends the commits of one chain, one after the other."""

    __slots__ = (
        "_flight",
        "backend",
        "durability",
        "expected",
        "failed",
        "memory",
        "ports",
        "rests",
        "standing",
    )

    def __init__(self, backend: Backend, memory: Memory, ports: Ports, durability: str) -> None:
        self.backend = backend
        self.memory = memory
        self.ports = ports
        self.durability = durability
        self.expected: str | None = None  # the head that the next commit expects
        self.standing: Revision | None = None  # its revision; None: not known yet, its commit is on its way
        self.rests: Sequence[CheckpointIs] = ()  # an older checkpoint that the next commit goes on from
        self.failed = False
        self._flight: deque[tuple[Pending, Layer, str | None]] = deque()  # and the head that it makes

    def layers(self) -> list[Layer]:
        """Memory in flight, oldest first."""
        return [layer for _, layer, _ in list(self._flight)]  # other threads ask, too

    async def send(self, parts: Parts, operations: Sequence[Operation], head: str | None) -> None:
        """It is durable with this memory, or on its way to be (durability `async`); `head` is what the chain's head is then.

        Raises:
            VersionConflict: a guard does not hold; nothing was written.
            StaleThread: somebody else extended the chain.
        """
        try:
            if not operations:
                if self.backend.inline:
                    revision = outcome.commit(self.backend, parts.commit())
                elif self.durability == "async":
                    revision = await self._send_soon(parts, (), head)
                else:
                    revision = await self.ports.commit(self.backend, parts.commit())
            else:
                revision = await self._send_with_memory(parts, operations, head)
        except BaseException:
            self.failed = True
            raise
        if parts.rows:
            self.expected, self.standing, self.rests = head, revision, ()

    async def _send_with_memory(
        self, parts: Parts, operations: Sequence[Operation], head: str | None
    ) -> Revision | None:
        if not self._together():
            await write_memory(self.memory, self.ports, operations)
            operations = ()
        if self.memory.as_of is not None and operations:
            await self.settle()
            revision = await self._send_computed(parts, operations)
            self.memory.as_of.wrote(operations, revision, parts.at)
            return revision
        if needs_answer(operations):
            await self.settle()
            return await self._send_computed(parts, operations)
        if self.durability == "async" and not self.backend.inline:
            return await self._send_soon(parts, operations, head)
        resolved = await embedded(resolve(None, operations, self.memory.codec), self.memory.codec, self.ports)
        return await self._commit(parts, resolved.items, ())

    def _together(self) -> bool:
        """Whether saver and store are one database, or two that can commit together."""
        backend = self.memory.backend
        return backend is self.backend or (backend is not None and self.backend.joins(backend))

    async def _commit(self, parts: Parts, items: Sequence[PutItem], versions: Sequence[ItemIs]) -> Revision:
        backend = self.memory.backend
        if items and backend is not None and backend is not self.backend:
            commit = parts.commit()
            other = Commit(commit.id, commit.at, versions=versions, items=items)
            revision = self.backend.commit_with(commit, backend, other)  # in memory: its outcome is known
        else:
            revision = await self.ports.commit(self.backend, parts.commit(items, versions))
        if items and backend is not None:
            wrote(backend, items)  # what was written, not what was staged: that was computed anew
        return revision

    async def _send_computed(self, parts: Parts, operations: Sequence[Operation]) -> Revision:
        """With expectations and computed values: computed anew when somebody else was first."""
        backend = self.memory.backend
        assert backend is not None  # noqa: S101 - the caller looked
        for attempt in range(TRIES):
            with backend.read() as snapshot:
                past = self.memory.as_of
                expected = [] if past is None else past.expected(snapshot, operations)
                resolved = resolve(snapshot, operations, self.memory.codec)
                parts.at = max(parts.at, snapshot.now())  # what had expired for it has for the commit
            resolved = await embedded(resolved, self.memory.codec, self.ports)
            known = {(want.namespace, want.key) for want in resolved.versions}
            expected = [want for want in expected if (want.namespace, want.key) not in known]
            try:
                return await self._commit(parts, resolved.items, [*resolved.versions, *expected])
            except VersionConflict as error:
                # As of the past: the next try finds all items that moved, and says so.
                if (past is None and not can_repeat(error, resolved)) or attempt == TRIES - 1:
                    raise
                await self.ports.pause(pause_before(attempt))
                parts.at = clock.micros()
        raise AssertionError("the last try returns or raises")

    async def _send_soon(self, parts: Parts, operations: Sequence[Operation], head: str | None) -> None:
        """On its way: its revision is known when it has landed."""
        items: Sequence[PutItem] = ()
        if operations:
            codec = self.memory.codec
            items = (await embedded(resolve(None, operations, codec), codec, self.ports)).items
        commit, layer = parts.commit(items), Layer()
        pending = Pending(self.backend, commit)
        layer.extend(operations)
        for operation in operations:
            operation.committed = commit.at
        self.ports.commit_soon(self.backend, commit, pending)
        if items:
            wrote(self.backend, items)
        self._flight.append((pending, layer, head if parts.rows else None))
        while len(self._flight) > IN_FLIGHT:
            await self._landed()
        await self.landed_ones()

    async def landed_ones(self) -> None:
        """Takes note of the commits that have landed; raises the first error."""
        while self._flight and self._flight[0][0].done:
            await self._landed()

    async def _landed(self) -> None:
        pending, _, head = self._flight[0]
        answer = pending.outcome if pending.done else await self.ports.settled(pending)
        self._flight.popleft()
        if isinstance(answer, BaseException):
            self.failed = True
            raise answer
        if head is not None and head == self.expected:
            self.standing = answer

    async def settle(self) -> None:
        """All commits in flight have landed, whatever became of them; then raises the first error."""
        first: Exception | None = None
        while self._flight:
            try:
                await self._landed()
            except Exception as error:  # noqa: BLE001 - raised when all have landed
                first = first or error
        if first is not None:
            raise first
