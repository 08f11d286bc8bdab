"""How stores of ours are watched: arguments, the two colours.

Here: thin methods. Not here: following the changes (`watching.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from perdure.storage.moments import Moment
from perdure.storage.watching import POLL_SECONDS, Watch, Watching
from perdure.store.base import NotSupported
from perdure.store.base.ops import check_labels

__all__ = ["ItemWatch"]

T = TypeVar("T")


class ItemWatch(ABC):
    """Changes as they are committed. Safe from any thread, in both colours."""

    @abstractmethod
    def _here(self) -> ItemWatch:
        """The store that answers in this context."""

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    def _watch(self, asked: Watching) -> Watch:
        """A watch that begins now."""
        del asked
        raise NotSupported(f"{self!r} cannot be watched: nothing changes in it. Watch the store itself.")

    def watch(
        self,
        prefix: tuple[str, ...] = (),
        *,
        since: Moment | None = None,
        poll_seconds: float = POLL_SECONDS,
        progress_seconds: float | None = None,
    ) -> Watch:
        """What is written below the prefix from now on, commit by commit, for `for` and for `async for`.

        Whole commits, in their order, none missed and none twice; by whatever process. To go on where a watch ended,
        give the `revision` of the last `Changes` that were dealt with as `since`. Writers never wait for a watch, nor a
        watch for its reader. Inside a task it is refused.

        Args:
            prefix: whole labels, compared literally; `()` is everything.
            since: the first changes are those after this revision (or other moment, see `at`); None: after now.
            poll_seconds: how long a write of another process may go unnoticed; those of this process are told at once.
            progress_seconds: if nothing was written below the prefix for so long, a `Changes` without events tells up to
                which revision nothing is missing; None: never. See `Watch.revision`, too.

        Raises:
            Compacted: changes since then were pruned (`keep_history=`): read everything anew, then watch. Also while
                reading, if the reader falls that far behind.
            QueryError: `since` is no moment of this database, or a number that cannot be right.
            InvalidNamespaceError: no item can be filed there.
        """
        return self.watching(Watching(check_labels(prefix), since, poll_seconds, progress_seconds))

    def watching(self, asked: Watching) -> Watch:
        """As `watch`, for checked arguments."""
        return self._here()._watch(asked)

    async def awatch(
        self,
        prefix: tuple[str, ...] = (),
        *,
        since: Moment | None = None,
        poll_seconds: float = POLL_SECONDS,
        progress_seconds: float | None = None,
    ) -> Watch:
        """As `watch`, which reads the database's newest revision before it returns."""
        return await self.awatching(Watching(check_labels(prefix), since, poll_seconds, progress_seconds))

    async def awatching(self, asked: Watching) -> Watch:
        """As `watching`."""
        here = self._here()
        return await here._aside(lambda: here._watch(asked))
