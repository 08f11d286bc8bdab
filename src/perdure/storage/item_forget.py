"""Forgetting in every store of ours: arguments, and the two colours. Not here: what it does (`forgetting.py`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from perdure.errors import QueryError
from perdure.storage.contract import check_thread_id
from perdure.storage.forgetting import Forgetting, Forgotten
from perdure.store.base import NotSupported
from perdure.store.base.ops import check_labels

__all__ = ["ItemForget"]

T = TypeVar("T")


class ItemForget(ABC):
    """Erasing a part of memory for good. Safe from any thread, in both colours."""

    @abstractmethod
    def _here(self) -> ItemForget:
        """The store that answers in this context."""

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    def _forget(self, asked: Forgetting) -> Forgotten:
        """What was done."""
        raise NotSupported(
            f"{self!r} forgets nothing; nothing was deleted. Call forget(...) of the store itself."
        )

    def forget(
        self,
        prefix: tuple[str, ...],
        *,
        threads: bool | Sequence[str] = (),
        scrub: bool = True,
        wait_seconds: float = 30.0,
        dry_run: bool = False,
    ) -> Forgotten:
        """A receipt: all below the prefix is gone, items, all their history, how they were found, staged records.

        One commit deletes it; then the database is scrubbed of it. SQLite: no byte of it is left in the files; the database is
        written anew and its log emptied, which takes time and space in proportion to the whole database. Postgres: the
        tables are vacuumed, others work on meanwhile, and the receipt's `left` says what its operator does about the rest. Views of the
        past older than this (`at`) raise `Compacted` where they would be short. Again: only scrubs. In a task it is refused.

        Args:
            prefix: at least one label, whole labels, e.g. `("users", "ada")`.
            threads: ids of threads to delete with it, or True: those that the receipt's `threads` lists. Copies that a
                program put into the state of threads go only so.
            scrub: False: leave the files for a later call, when there is more to forget.
            wait_seconds: how long to wait for readers of an older state before the files can be scrubbed.
            dry_run: only tell what would go.

        Raises:
            QueryError: the prefix is empty.
            InvalidNamespaceError: no item can be filed there.
            Busy: it is deleted (`written` is True, `receipt` says what), but a reader kept the files from being scrubbed.
                Call it again.
            Conflict: others wrote there faster a thousand times in a row. Nothing was deleted.
        """
        return self._here()._forget(_asked(prefix, threads, wait_seconds, scrub=scrub, dry_run=dry_run))

    async def aforget(
        self,
        prefix: tuple[str, ...],
        *,
        threads: bool | Sequence[str] = (),
        scrub: bool = True,
        wait_seconds: float = 30.0,
        dry_run: bool = False,
    ) -> Forgotten:
        """As `forget`."""
        here = self._here()
        asked = _asked(prefix, threads, wait_seconds, scrub=scrub, dry_run=dry_run)
        return await here._aside(lambda: here._forget(asked))


def _asked(
    prefix: tuple[str, ...],
    threads: bool | Sequence[str],
    wait_seconds: float,
    *,
    scrub: bool,
    dry_run: bool,
) -> Forgetting:
    inside = check_labels(prefix)
    if not inside:
        raise QueryError(
            "forget(()) would erase all memory of everybody. Nothing was deleted. Name at least one label, or delete the"
            " database.",
            part="prefix",
        )
    if isinstance(threads, str):
        raise QueryError(
            f"threads={threads!r}: give a list of thread ids, or True. Nothing was deleted.", part="threads"
        )
    named = True if threads is True else tuple(check_thread_id(str(name)) for name in threads or ())
    return Forgetting(inside, named, scrub, wait_seconds, dry_run)
