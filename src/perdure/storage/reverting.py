"""Taking back what a run or a thread wrote to memory: which items get which value back, and which cannot.

An item's versions are looked at from the newest down. Where the newest ones are to go, the item gets what stood below
them. Where somebody else wrote later, that write stands and the item is reported, unless it says just what stood below
(somebody took it back already).

Here: the plan, from one snapshot. Not here: committing it (`store/face.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from perdure.errors import QueryError
from perdure.storage.contract import (
    EXPIRED,
    CheckpointRow,
    Commit,
    ItemIs,
    ItemRow,
    Namespace,
    Origin,
    PutItem,
    Revision,
    Snapshot,
    commit_now,
    compacted,
)
from perdure.storage.item_codec import ItemCodec
from perdure.storage.moments import Moment, revision_of
from perdure.storage.staging import Operation
from perdure.storage.versions import Difference, ItemVersion, equal, version_of

__all__ = ["ACTOR", "RevertConflict", "Reverted", "Reverting", "Undoing", "undoing"]

ACTOR: Final = "revert"
"""The actor of versions that take others back."""

_NEVER: Final = Revision(0, 0)
_ALL: Final = (1 << 63) - 1
_PAGE: Final = 1000

RunOf: TypeAlias = "Callable[[CheckpointRow], object]"
"""The id of the run that made a checkpoint, as its caller gave it."""

_Bad: TypeAlias = Callable[[ItemRow], bool]


@dataclass(frozen=True, slots=True)
class RevertConflict:
    """An item that was not taken back, or not to its beginning.

    Attributes:
        namespace: the path it is filed under.
        key: unique in its namespace.
        reason: `"written later"`: somebody else wrote over it; `"compacted"`: what stood before is no longer kept.
        later: the first version that was written over it; None where nobody did.
    """

    namespace: Namespace
    key: str
    reason: Literal["written later", "compacted"]
    later: ItemVersion | None = None


@dataclass(frozen=True, slots=True)
class Reverted:
    """What `store.revert` did.

    Attributes:
        revision: of the one commit that took everything back; None: there was nothing to write.
        items: what has another value now, with the values before and after.
        conflicts: what was left as it is.
    """

    revision: str | None
    items: tuple[Difference, ...]
    conflicts: tuple[RevertConflict, ...]


class Reverting(NamedTuple):
    """What is to be taken back, as the caller named it; all that is named must hold of a version."""

    run: str | None
    thread: str | None
    since: Moment | None
    prefix: Namespace


class Undoing(NamedTuple):
    """The plan: rows for one commit, and what will be reported."""

    expected: list[ItemIs]
    puts: list[PutItem]
    items: list[Difference]
    conflicts: list[RevertConflict]

    def commit(self) -> Commit:
        """All of it, expecting what it was planned from."""
        return commit_now(versions=self.expected, items=self.puts)

    def embed(self, codec: ItemCodec) -> None:
        """Fetches the vectors of what is brought back: outside of the snapshot."""
        made = [Operation(put.namespace, put.key, put.value, 0, paths=put.paths) for put in self.puts]
        codec.embed(codec.lacking(made))
        self.puts[:] = [put._replace(embedded=op.embedded) for put, op in zip(self.puts, made, strict=True)]

    def report(self, revision: Revision | None) -> Reverted:
        """What was done."""
        return Reverted(None if revision is None else str(revision), tuple(self.items), tuple(self.conflicts))


def undoing(codec: ItemCodec, snapshot: Snapshot, asked: Reverting, run_of: RunOf) -> Undoing:
    """The plan that takes back what was asked.

    Raises:
        QueryError: nothing was asked, or the run is not known here.
        Compacted: with `since`: items that were deleted since may be gone without a trace.
    """
    after, bad = _meant(snapshot, asked, run_of)
    plan = Undoing([], [], [], [])
    for namespace, key in snapshot.touched(asked.prefix, after, asked.thread):
        history = snapshot.history(namespace, key, _ALL)
        newest = history.versions[0]
        for start, end in _blocks(_verdicts(history.versions, bad)):
            below = history.versions[end] if end < len(history.versions) else None
            known = below is not None or history.whole
            if start == 0 and known:
                _take_back(plan, codec, snapshot.item(namespace, key), newest, below)
            elif start == 0:
                plan.conflicts.append(RevertConflict(namespace, key, "compacted"))
            elif not known or not equal(codec, history.versions[start - 1], below):
                later = version_of(codec, history.versions[start - 1])
                plan.conflicts.append(RevertConflict(namespace, key, "written later", later))
    return plan


def _take_back(
    plan: Undoing, codec: ItemCodec, live: ItemRow | None, newest: ItemRow, below: ItemRow | None
) -> None:
    if equal(codec, newest, below):
        return
    namespace, key = newest.namespace, newest.key
    value = None if below is None else below.value
    plan.expected.append(ItemIs(namespace, key, None if live is None else live.version))
    paths = None if live is None else live.paths
    filed = (
        None
        if below is None or value is None
        else codec.filed(codec.written(namespace, key, value)[0], paths)
    )
    plan.puts.append(
        PutItem(
            namespace, key, value, Origin(actor=ACTOR), filed, paths, ttl=None if below is None else below.ttl
        )
    )
    plan.items.append(Difference(namespace, key, _decoded(codec, newest), _decoded(codec, below)))


def _decoded(codec: ItemCodec, row: ItemRow | None) -> dict[str, Any] | None:
    return None if row is None else version_of(codec, row).value


def _verdicts(versions: list[ItemRow], bad: _Bad) -> list[bool]:
    """Which versions are to go. One that was written to take others back is judged as the version that it brought back.

    That a version expired is a consequence of its being written: the deletion goes with it.
    """
    verdicts = [bad(row) for row in versions]
    for place in range(len(versions) - 1, -1, -1):
        row = versions[place]
        if row.origin.actor == ACTOR and row.value is not None and not verdicts[place]:
            brought = (n for n in range(place + 1, len(versions)) if versions[n].value == row.value)
            verdicts[place] = any(verdicts[n] for n in islice(brought, 1))
        elif row.origin == EXPIRED and row.value is None and place + 1 < len(versions):
            verdicts[place] = verdicts[place] or verdicts[place + 1]
    return verdicts


def _blocks(verdicts: list[bool]) -> Iterator[tuple[int, int]]:
    """Stretches `[start, end)` of versions that are to go, newest first."""
    place = 0
    for goes, some in groupby(verdicts):
        end = place + len(list(some))
        if goes:
            yield place, end
        place = end


def _meant(snapshot: Snapshot, asked: Reverting, run_of: RunOf) -> tuple[Revision, _Bad]:
    """The revision after which it all was written, and which versions are meant."""
    tests: list[_Bad] = []
    after = _NEVER
    if asked.run is not None:
        revisions = _revisions_of(snapshot, asked.run, asked.thread, run_of)
        threads = {thread for thread, _ in revisions}
        first = min(revision for _, revision in revisions)
        after = Revision(first.epoch, first.seq - 1)
        tests.append(
            lambda row: row.origin.thread in threads and (row.origin.thread, row.revision) in revisions
        )
    if asked.thread is not None:
        tests.append(lambda row: row.origin.thread == asked.thread)
    if asked.since is not None:
        since = revision_of(snapshot, asked.since)
        if since < snapshot.floor():
            raise compacted(since, snapshot.floor())
        after = max(after, since)
        tests.append(lambda row: row.revision > since)
    if not tests:
        raise QueryError("Say what to take back: run=, thread= or since=. Nothing was done.", part="run")
    return after, lambda row: all(test(row) for test in tests)


def _revisions_of(
    snapshot: Snapshot, run: str, thread: str | None, run_of: RunOf
) -> set[tuple[str, Revision]]:
    """(thread, revision) of the commits that made the run's checkpoints; what else they wrote, the run wrote."""
    found = {
        (row.thread, row.revision)
        for name in (_threads(snapshot) if thread is None else (thread,))
        for row in snapshot.checkpoints(name, None, None, None)
        if row.revision is not None and run_of(row) == run
    }
    if not found:
        where = "" if thread is None else f" on thread {thread!r}"
        raise QueryError(
            f"no checkpoint of run {run!r} is kept{where} in this store's database, so nobody knows what it wrote."
            " Nothing was done. Name the thread=, or a moment: since=.",
            part="run",
        )
    return found


def _threads(snapshot: Snapshot) -> Iterator[str]:
    after: str | None = None
    while page := snapshot.threads(after, _PAGE):
        yield from page
        after = page[-1]
