"""The rows of one chain as they are drafted: what a step changed, as codes and segments, and where the chain stands.

A `Draft` is a checkpoint's row before it is packed: the input's is held until the step after it is known, because that
one stores its values. Here: how a step becomes rows, and how a draft that was not written is taken back. Not here: when
they are written and what is expected then (`commit.py`), how a value becomes a code (`storage/chains.py`).
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple, cast

import ormsgpack

from perdure import clock
from perdure.channels import BinaryOperatorAggregate, EphemeralValue, LastValue
from perdure.channels.base import MISSING
from perdure.constants import START, TASKS
from perdure.engine.chain import Finished, Step
from perdure.engine.records import tracked_value
from perdure.engine.state import AnyChannel, Live
from perdure.graph.spec import GraphSpec
from perdure.storage import chains
from perdure.storage.chains import Head, Pieces, Ref, Stored
from perdure.storage.contract import CheckpointRow
from perdure.storage.sealing import sealed
from perdure.storage.segments import Writer

_KEEPING: Final = (LastValue, EphemeralValue)  # hand on what was written and look at nothing


class Draft:
    """A checkpoint's row, not packed yet."""

    __slots__ = (
        "codes", "id", "input", "metadata", "parent", "results", "seen", "source", "step", "updated", "version", "whole"
    )  # fmt: skip

    def __init__(self, id: str, parent: str | None, step: Step, codes: dict[str, Any], seen: Any) -> None:
        self.id = id
        self.parent = parent
        self.step = step.step
        self.source = step.source
        self.metadata = step.metadata
        self.version = step.applied.version
        self.codes = codes
        self.seen: dict[str, Any] = seen
        self.whole = False
        self.updated: list[str] = []  # of a whole row: the channels that this very step changed
        self.results: list[Any] = []
        self.input: Any = MISSING  # of a held one: what its code will be composed from

    def packed(self) -> bytes:
        """The row's `state`."""
        return chains.packed(
            [self.updated if self.whole else self.version, self.codes, self.seen, self.results]
        )


class Mark(NamedTuple):
    """Where the rows were before a draft that may meet another writer."""

    before: str | None
    parent: str | None
    since_whole: int
    whole: bool
    last: Step | None
    held: Draft | None
    writer: Writer
    segments: int
    removals: int
    appended: dict[str, tuple[int, int, list[Any]]]
    stored: dict[str, Stored | None]
    versions: dict[str, Any]


class Rows:
    """Where a chain stands in the database, and the drafts that take it on."""

    def __init__(self, thread: str, ns: str, spec: GraphSpec, pieces: Pieces, run: str | None) -> None:
        self.thread = thread
        self.ns = ns
        self.run = run
        self.stored: dict[str, Stored] = {}
        self.parent: str | None = None  # of the next draft
        self.before: str | None = None  # the parent of the newest one
        self.since_whole = 0
        self.last: Step | None = None  # that was drafted
        self.held: Draft | None = None
        self.writer: Writer | None = None  # of the held draft
        self._spec = spec
        self._pieces = pieces
        self._versions: dict[str, Any] = {}  # of channels, as the newest row has them
        self._whole = True  # the next row stands alone: the first one, or a fork
        self._fresh = False  # the values were compared with their shadows, or decoded, just now

    # -- where the chain stands --------------------------------------------------------------------------------------

    def begin(self, head: Head, newest: str | None) -> None:
        """Goes on from `head`; if another is the newest, on a branch of its own."""
        self.parent = head.id
        self.before = head.parent
        self.stored = head.stored
        self._versions = dict(head.versions)
        self.since_whole = head.since_whole
        self._whole = head.id != newest
        self._fresh = True
        if self._whole:
            chains.freeze(head)

    def beside(self, parent: str | None) -> None:
        """The next draft is a copy of the present checkpoint, with the same parent."""
        self.parent = parent
        self.alone()
        for stored in self.stored.values():
            if isinstance(stored.at, Ref):
                stored.at.frozen = True

    def alone(self) -> None:
        """The next draft is a row that needs no other."""
        self._whole = True

    def head(self, at: str, step: Step, live: Live) -> Head:
        """The checkpoint that the newest row describes, to go on from."""
        head = Head(
            self.thread, self.ns, at, None if self.parent is None else self.ns, self.parent, step.step, step.source, 0,
            None, live.versions, live.seen, self.stored, since_whole=self.since_whole,
        )  # fmt: skip
        for name in live.versions:
            value = tracked_value(self._spec, name, live.channels[name].checkpoint())
            if value is not MISSING:
                head.values[name] = value
        return head

    # -- drafts ------------------------------------------------------------------------------------------------------

    def new_writer(self) -> Writer:
        """What collects the segments of one commit."""
        return Writer(self.thread, self._pieces, clock.random_id)

    def hold(self, step: Step, new: str) -> None:
        """The input's draft waits for the step after it."""
        self.writer = self.new_writer()
        self.held = self.draft(self.writer, step, new)

    def draft(self, writer: Writer, step: Step, new: str) -> Draft:
        """What a step changed."""
        live, applied = step.live, step.applied
        channels = live.channels
        values = {name: channels[name].checkpoint() for name in applied.changed}
        if TASKS in values:
            values[TASKS] = tracked_value(self._spec, TASKS, values[TASKS])
        draft = self.drafted(writer, step, new, values, live, applied.seen)
        if step.done:
            draft.results = self.results(writer, step.done, values)
        return draft

    def drafted(
        self,
        writer: Writer,
        step: Step,
        new: str,
        values: dict[str, Any],
        live: Live,
        seen_now: dict[str, dict[str, Any]],
    ) -> Draft:
        """As `draft`, with the values that changed, and without results."""
        stored = self.stored
        codes: dict[str, Any] = {}
        held_input = values.pop(START, MISSING) if step.hold else MISSING
        # The input's step comes right after loading: where no code of the user's had a hand in it, one look is enough.
        calm = self._fresh and not step.hold and self._is_calm(step, values)
        self._fresh = self._fresh and step.hold
        channel = writer.channel
        for name, value in values.items():
            before = stored.get(name)
            if value is not MISSING or before is not None:
                codes[name], stored[name] = channel(name, before, value, calm=calm)
        if held_input is not MISSING:
            stored[START] = Stored({})
            codes[START] = {}
        version, versions = step.applied.version, self._versions
        draft = Draft(new, self.parent, step, codes, seen_now)
        draft.input = held_input
        if self._whole or self.since_whole >= chains.WHOLE_EVERY:
            draft.whole, draft.updated = True, sorted(values)
            draft.codes = {
                name: [at, chains.code_of(stored[name])]
                for name, at in live.versions.items()
                if name in stored
            }
            draft.seen = {node: dict(known) for node, known in live.seen.items()}
            self._whole = False
            self.since_whole = 0
        else:
            draft.seen = chains.short_seen(seen_now, versions)
            self.since_whole += 1
        for name in codes:
            versions[name] = version
        self.before, self.parent, self.last = self.parent, new, step
        return draft

    def _is_calm(self, step: Step, changed: Iterable[str]) -> bool:
        """Whether the step merged an input, and ran no code that could change in place what was there before."""
        return (
            self.held is not None
            and all(left.task.name == START and not left.task.node.branches for left in step.done)
            and all(_is_quiet(step.live.channels[name]) for name in changed)
        )

    def results(self, writer: Writer, done: Iterable[Finished], values: dict[str, Any]) -> list[Any]:
        """What each task wrote to state keys, as references to the bytes that this step stores anyway."""
        results: list[Any] = []
        taken: dict[str, int] = {}
        keys, untracked, result = self._spec.state_keys, self._spec.untracked, writer.result
        for finished in done:
            task = finished.task
            if task.node.hidden:
                continue
            written: list[Any] = []
            for name, value in finished.writes or ():
                if name in keys and name not in untracked:
                    written.append([name, result(name, value, taken, values)])
            results.append([task.name, task.index, written])
        return results

    def compose_input(self, writer: Writer) -> None:
        """The held draft learns the code of its input: slices of what was stored, where they are its very values."""
        held = self.held
        assert held is not None  # noqa: S101 - the caller looked
        data = held.input
        taken: dict[str, int] = {}
        if not isinstance(data, dict):
            code: Any = writer.encode(data, "input", "inline", START)
        else:
            code = {}
            for key, value in data.items():  # pyright: ignore[reportUnknownVariableType] - any input
                name = str(key)  # pyright: ignore[reportUnknownArgumentType] - state keys
                if name in self._spec.untracked:
                    continue
                code[name] = writer.result(name, value, taken, {})
        held.codes[START] = [held.codes[START][0], code] if held.whole else code

    def row(self, draft: Draft, at: int) -> CheckpointRow:
        """The draft as it is stored, at this time."""
        parent, metadata = draft.parent, None
        if draft.metadata:
            packed = ormsgpack.packb(draft.metadata)
            metadata = sealed(self._pieces, packed, self.thread, "metadata", self.ns, draft.id)
        return CheckpointRow(
            self.thread, self.ns, draft.id, None if parent is None else self.ns, parent, draft.step, draft.source,
            at, self.run, draft.whole, draft.packed(), metadata,
        )  # fmt: skip

    # -- taking a draft back -----------------------------------------------------------------------------------------

    def mark(self, names: Collection[str], writer: Writer) -> Mark:
        """Where the rows are before a step is drafted that changes these channels."""
        return Mark(
            self.before, self.parent, self.since_whole, self._whole, self.last, self.held, writer,
            len(writer.segments), len(writer.removals), dict(writer.appended),
            {name: self.stored.get(name) for name in names}, {name: self._versions.get(name) for name in names},
        )  # fmt: skip

    def undo(self, mark: Mark) -> None:
        """The step was not written, and will be made again from other results: all is as it was before its draft."""
        self.before, self.parent, self.since_whole = mark.before, mark.parent, mark.since_whole
        self._whole, self.last, self.held = mark.whole, mark.last, mark.held
        if mark.held is not None:
            writer = self.writer = mark.writer
            del writer.segments[mark.segments :], writer.removals[mark.removals :]
            writer.appended = mark.appended
        for name, stored in mark.stored.items():
            if stored is None:
                self.stored.pop(name, None)
            else:  # its shadow is ahead of it: the next value is written whole
                self.stored[name] = Stored(stored.at)
        for name, version in mark.versions.items():
            if version is None:
                self._versions.pop(name, None)
            else:
                self._versions[name] = version


def _is_quiet(channel: AnyChannel) -> bool:
    """Whether a write to the channel runs no code that could change what it holds in place."""
    kind = type(channel)
    if kind is BinaryOperatorAggregate:
        return cast("BinaryOperatorAggregate[Any]", channel).operator is operator.add
    return kind in _KEEPING
