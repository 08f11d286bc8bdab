"""A run that reads memory as it was at the checkpoint it goes on from, while its writes go to live memory, guarded.

Here: `AsOf`, what such a run reads and what its commits expect. Not here: views (`storage/past_store.py`), the commit
itself (`commit.py`), where the checkpoint comes from (`pregel/launch.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from perdure.errors import VersionConflict
from perdure.storage.contract import Backend, ItemIs, Namespace, Revision, Snapshot
from perdure.storage.past_store import as_of
from perdure.storage.staging import Layer, Operation

__all__ = ["AsOf"]


class AsOf:
    """Memory as of a revision, plus what this branch has written since: for one run and the graphs inside it.

    Attributes:
        layer: what the run has committed, over the view.
    """

    __slots__ = ("_backend", "_lock", "_own", "_revision", "layer")

    def __init__(self, backend: Backend, revision: Revision) -> None:
        """The memory of one database as of one of its revisions."""
        self._backend = backend
        self._revision = revision
        self._own: dict[
            tuple[Namespace, str], Revision
        ] = {}  # by which commit of the run an item was last written
        self._lock = threading.Lock()
        self.layer = Layer()

    @contextmanager
    def read(self) -> Generator[Snapshot]:
        """Items as they were; what the run has written lies over them as `layer`."""
        with self._backend.read() as snapshot:
            yield as_of(snapshot, self._revision)

    def expected(self, live: Snapshot, operations: Sequence[Operation]) -> list[ItemIs]:
        """That every item to be written is as the run knows it.

        Raises:
            VersionConflict: some are not; `keys` lists them all.
            Compacted: what one was is no longer kept.
        """
        found: list[ItemIs] = []
        moved: list[ItemIs] = []
        for namespace, key in dict.fromkeys((op.namespace, op.key) for op in operations):
            row = live.item(namespace, key)
            version = None if row is None else row.version
            own = self._own.get((namespace, key))
            if own is not None:
                newest = live.history(namespace, key, 1).versions
                unmoved = not newest or newest[0].revision <= own  # that commit expected it, too
            else:
                then = live.item_at(namespace, key, self._revision)
                unmoved = version == (None if then is None else then.version)
            (found if unmoved else moved).append(ItemIs(namespace, key, version))
        if moved:
            self._raise(moved)
        return found

    def _raise(self, moved: list[ItemIs]) -> None:
        first = moved[0]
        more = f" and {len(moved) - 1} more" if len(moved) > 1 else ""
        raise VersionConflict(
            f"item {first.key!r} in {first.namespace!r}{more} was written by others since revision {self._revision}, as of"
            ' which this run reads memory (memory="as_of"). Nothing of the step was written. Look at `keys`; run again'
            " without memory=, or from a later checkpoint.",
            namespace=first.namespace,
            key=first.key,
            found=first.version,
            keys=[(want.namespace, want.key) for want in moved],
        )

    def wrote(self, operations: Sequence[Operation], revision: Revision, at: int) -> None:
        """The run's commit of that revision and time (microseconds) has them: from now on the run reads them."""
        with self._lock:
            for operation in operations:
                operation.committed = at
                self._own[operation.namespace, operation.key] = revision
            self.layer.extend(operations)
