"""What every store of ours tells of its past, and how it takes back: thin methods over the pure rooms.

Here: arguments, the two colours. Not here: what is told (`versions.py`), views (`past_store.py`), plans of taking back
(`reverting.py`). Inside a task all of these read what is committed, not what is staged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, TypeVar

from perdure.errors import QueryError
from perdure.storage.contract import Namespace, Revision, Snapshot
from perdure.storage.item_codec import ItemCodec
from perdure.storage.moments import Moment, instant_of
from perdure.storage.reverting import Reverted, Reverting
from perdure.storage.versions import Blame, Difference, ItemVersion, blame_of, differences, versions_of
from perdure.store.base import NotSupported
from perdure.store.base.ops import check_labels

if TYPE_CHECKING:
    from perdure.storage.past_store import PastStore

__all__ = ["ItemPast"]

T = TypeVar("T")


class ItemPast(ABC):
    """History, views of the past, differences, provenance, taking back. Safe from any thread, in both colours."""

    _codec: ItemCodec

    @abstractmethod
    def _here(self) -> ItemPast:
        """The store that answers in this context."""

    @abstractmethod
    def _committed(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of what is committed now."""

    def _look_back(self, question: Callable[[Snapshot], T], revision: Revision | None = None) -> T:
        """The answer of a snapshot of what was committed a moment ago, or up to that revision at least."""
        del revision  # what is committed now is behind it
        return self._of_committed(question)

    def _of_committed(self, question: Callable[[Snapshot], T]) -> T:
        """The answer of a snapshot of what is committed now."""
        with self._committed() as snapshot:
            return question(snapshot)

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    def _revert(self, asked: Reverting) -> Reverted:
        """What was taken back, by one commit."""
        raise NotSupported(
            f"{self!r} takes nothing back; nothing was written. Call revert(...) of the store itself."
        )

    # Histories.

    def history(self, namespace: tuple[str, ...], key: str, *, limit: int = 100) -> list[ItemVersion]:
        """The item's versions that are kept, newest first, deletions included; empty if nothing of it is kept.

        Args:
            namespace: where it is filed.
            key: its name there.
            limit: how many at most, from 1.

        Raises:
            QueryError: `limit` is no such number.
        """
        here = self._here()
        return here._history(check_labels(namespace), str(key), _limit(limit))

    async def ahistory(self, namespace: tuple[str, ...], key: str, *, limit: int = 100) -> list[ItemVersion]:
        """As `history`."""
        here, where, count = self._here(), check_labels(namespace), _limit(limit)
        return await here._aside(lambda: here._history(where, str(key), count))

    def _history(self, namespace: Namespace, key: str, limit: int) -> list[ItemVersion]:
        return self._look_back(lambda snapshot: versions_of(self._codec, snapshot, namespace, key, limit))

    # Views.

    def at(self, moment: Moment) -> PastStore:
        """Memory as it was, to be read like any store: `get`, `search` with a filter, `list_namespaces`.

        Every answer is exact, or `Compacted` is raised because versions that it needs were pruned (`keep_history=`).

        Args:
            moment: a revision (`item.revision`); a time with its zone: the last commit not later than it, by the clock
                of whoever committed; or the config of a checkpoint of a saver on the same database: as of the commit
                that made it. What had expired by then is gone: by the time that is named, else by that of the commit.

        Raises:
            QueryError: it is no moment of this database.
        """
        return self._here()._view(moment)

    async def aat(self, moment: Moment) -> PastStore:
        """As `at`."""
        here = self._here()
        return await here._aside(lambda: here._view(moment))

    def _view(self, moment: Moment) -> PastStore:
        from perdure.storage.past_store import PastStore

        return PastStore(self, self._codec, *self._of_committed(lambda now: instant_of(now, moment)))

    # Differences.

    def diff(
        self, before: Moment, after: Moment | None = None, prefix: tuple[str, ...] = ()
    ) -> list[Difference]:
        """Items that two moments show differently, with both values, by namespace and key.

        Args:
            before: the first moment; see `at`.
            after: the second, earlier or later; None: now.
            prefix: only items below it, whole labels; `()` is everything.

        Raises:
            QueryError: one is no moment of this database.
            Compacted: versions that are needed were pruned.
        """
        here = self._here()
        return here._diff(before, after, check_labels(prefix))

    async def adiff(
        self, before: Moment, after: Moment | None = None, prefix: tuple[str, ...] = ()
    ) -> list[Difference]:
        """As `diff`."""
        here, inside = self._here(), check_labels(prefix)
        return await here._aside(lambda: here._diff(before, after, inside))

    def _diff(self, before: Moment, after: Moment | None, prefix: Namespace) -> list[Difference]:
        def differing(snapshot: Snapshot) -> list[Difference]:
            first = instant_of(snapshot, before)
            now = (snapshot.revision(), snapshot.now())
            second = now if after is None else instant_of(snapshot, after)
            return differences(self._codec, snapshot, first, second, prefix)

        return self._of_committed(differing)

    # Provenance.

    def blame(self, namespace: tuple[str, ...], key: str) -> Blame | None:
        """Who wrote the item: its newest version, and of each top-level field the version that last changed it.

        None: nothing of such an item is kept. `version.origin` names thread, checkpoint, node and actor.

        Args:
            namespace: where it is filed.
            key: its name there.
        """
        here = self._here()
        return here._blame(check_labels(namespace), str(key))

    async def ablame(self, namespace: tuple[str, ...], key: str) -> Blame | None:
        """As `blame`."""
        here, where = self._here(), check_labels(namespace)
        return await here._aside(lambda: here._blame(where, str(key)))

    def _blame(self, namespace: Namespace, key: str) -> Blame | None:
        return self._look_back(lambda snapshot: blame_of(self._codec, snapshot, namespace, key))

    # Taking back.

    def revert(
        self,
        *,
        run: object = None,
        thread: str | None = None,
        since: Moment | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Reverted:
        """What a run or a thread wrote to memory is taken back, by new versions in one commit; a report says what.

        Each item gets the value that stood before. A later write by somebody else is not overwritten: that item stays as
        it is and is reported as a conflict. Doing it again does nothing. Inside a task it is refused.

        Args:
            run: what the run wrote whose config had this `run_id` (it stands in its checkpoints' metadata). A step that
                was interrupted belongs to the run that finished it.
            thread: only what this thread wrote; given with `run`, the run need not be searched for in all threads.
            since: only what was written after that moment; see `at`. Alone: whoever wrote it.
            prefix: only items below it, whole labels; `()` is everything.

        Raises:
            QueryError: neither run, thread nor since was given, or nothing is known of the run.
            Compacted: items that were deleted since may be gone without a trace. Nothing was written.
            VersionConflict: others were faster a thousand times in a row. Nothing was written.
        """
        here = self._here()
        return here._revert(_reverting(run, thread, since, prefix))

    async def arevert(
        self,
        *,
        run: object = None,
        thread: str | None = None,
        since: Moment | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Reverted:
        """As `revert`."""
        here, asked = self._here(), _reverting(run, thread, since, prefix)
        return await here._aside(lambda: here._revert(asked))


def _reverting(run: object, thread: str | None, since: Moment | None, prefix: tuple[str, ...]) -> Reverting:
    return Reverting(
        None if run is None else str(run),
        None if thread is None else str(thread),
        since,
        check_labels(prefix),
    )


def _limit(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 1:
        raise QueryError(f"limit={given!r}: give an integer of at least 1.", part="limit")
    return given
