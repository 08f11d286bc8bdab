"""How far a copy is, kept in the target: of each thread what was copied, of memory up to which revision.

Marks stand where no thread can, as pending writes of the thread with the empty name (which every door refuses; see
`storage/keycheck.py`), so any backend keeps them; each is written by the commit whose work it tells of. A negative index: the
last stands. Commits of memory are made in groups, and none may be made unless the one before it was: so each adds a
checkpoint to a thread of ours, expecting the last one's as its head. After the group the thread goes, and a mark tells.
Not here: what is copied (`threads.py`, `memory.py`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Final, NamedTuple

from perdure.errors import PerdureError
from perdure.storage import outcome
from perdure.storage.contract import (
    Backend,
    CheckpointRow,
    HeadIs,
    RemoveThread,
    Revision,
    WriteRow,
    commit_now,
)

__all__ = ["Copied", "Marks"]

_NOWHERE: Final = ""
_THREADS: Final = "threads"
_MEMORY: Final = "memory"
_AT: Final = -1


class Copied(NamedTuple):
    """What was copied of a thread."""

    fingerprint: (
        str  # of its rows in the source, but for values in logs: equal as long as nothing was committed to it
    )
    digest: str  # of all its values


class Marks:
    """The marks of one source in one target.

    Attributes:
        threads: what was copied; those that are gone from the source are not in it.
        done: memory stands as of this revision of the source.
        base: a revision of the target older than all memory that was copied.
        floors: (revision of the source, revision of the target) at which views of the past begin.
    """

    def __init__(self, source: Backend, target: Backend) -> None:
        """Reads them, or makes the first in an empty target.

        Raises:
            PerdureError: the target has something that this source's copy has not brought.
        """
        self._target = target
        with source.read() as now:
            epoch = now.revision().epoch
            named = f"{source.identity} {now.time_of(Revision(epoch, 1))} {epoch}"
        self._ns = f"copy of {hashlib.sha256(named.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
        self.threads: dict[str, Copied] = {}
        self.done = Revision(epoch, 0)
        self.base: Revision | None = None
        self.floors: list[tuple[Revision, Revision]] = []
        self._read()

    def _read(self) -> None:
        with self._target.read() as now:
            memory = now.writes(_NOWHERE, self._ns, _MEMORY)
            for row in now.writes(_NOWHERE, self._ns, _THREADS):
                if row.payload:
                    self.threads[row.task] = Copied(row.payload.decode(), row.channel)
            empty = not now.threads(None, 1) and now.count("history") == 0
            newest = now.revision()
            head = now.head(self.name, "")
            last = None if head is None else now.checkpoint(self.name, "", head)
        if memory:
            self._tell(memory[0].payload if last is None else last.state)
            self.base = self.base or newest  # nothing of memory was copied
            if last is not None:  # a group was not ended
                self.end(self.done)
            return
        if not empty:
            raise PerdureError(
                "the target is not empty, and not begun by a copy of this source. Nothing was written. Copy into a new database;"
                " what is to be added to another one goes there with `perdure memory export` and `import`."
            )
        self.base = outcome.commit(self._target, commit_now(writes=[self.of_memory(self.done)]))

    def _tell(self, payload: bytes) -> None:
        told = json.loads(payload)
        self.done = Revision.parse(told["done"])
        self.base = None if told["base"] is None else Revision.parse(told["base"])
        self.floors = [(Revision.parse(here), Revision.parse(there)) for here, there in told["floors"]]

    def of_thread(self, thread: str, copied: Copied | None) -> WriteRow:
        """The mark for a thread that was copied; None: it is gone."""
        fingerprint, digest = copied or ("", "")
        return WriteRow(_NOWHERE, self._ns, _THREADS, thread, _AT, "", digest, fingerprint.encode())

    def of_memory(self, done: Revision) -> WriteRow:
        """The mark for memory as of that revision."""
        told = {
            "done": str(done),
            "base": None if self.base is None else str(self.base),
            "floors": [[str(here), str(there)] for here, there in self.floors],
        }
        return WriteRow(_NOWHERE, self._ns, _MEMORY, "done", _AT, "", "", json.dumps(told).encode())

    def link(self, before: Revision | None, revision: Revision) -> tuple[HeadIs, CheckpointRow]:
        """For the commit that brings memory from `before` (None: the group's first) to `revision`."""
        head = HeadIs(self.name, "", None if before is None else _id(before))
        said = self.of_memory(revision).payload
        return head, CheckpointRow(
            self.name, "", _id(revision), None, None, 0, "update", 0, None, True, said, None
        )

    def end(self, done: Revision) -> None:
        """The group has ended: the target's memory stands as of `done`."""
        commit = commit_now(removals=[RemoveThread(self.name)], writes=[self.of_memory(done)])
        outcome.commit(self._target, commit)

    @property
    def name(self) -> str:
        """Of this source, for what must not be mistaken for anything of it."""
        return self._ns


def _id(revision: Revision) -> str:
    return f"{revision.epoch:010}.{revision.seq:020}"
