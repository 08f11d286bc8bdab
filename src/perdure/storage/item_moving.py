"""Export, import, filing anew, in every store of ours: arguments, and the two colours.

Not here: lines (`moving.py`), batches (`reindexing.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from perdure.storage.contract import Backend, Snapshot
from perdure.storage.item_codec import ItemCodec
from perdure.storage.moving import Imported, Line, exported, imported
from perdure.storage.reindexing import Reindexed, reindexed
from perdure.store.base import NotSupported
from perdure.store.base.ops import check_labels

__all__ = ["ItemMoving"]

T = TypeVar("T")


class ItemMoving(ABC):
    """Memory moved to another database, exactly, or filed anew. Safe from any thread, in both colours."""

    _codec: ItemCodec

    @abstractmethod
    def _here(self) -> ItemMoving:
        """The store that answers in this context."""

    @abstractmethod
    def _committed(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of what is committed now."""

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    def _whole(self, what: str) -> Backend:
        """The database, for work in many commits."""
        raise NotSupported(
            f"{what} commits many times, so {self!r} does not do it; nothing was written. Call it outside of graphs, on the"
            " store itself."
        )

    def export(self, prefix: tuple[str, ...] = (), *, history: bool = False) -> Iterator[Line]:
        """Lines for JSONL with everything that an exact import needs; streamed, all as of the first line's moment.

        Each is a dict for `json.dumps`, whose default (`ensure_ascii`) brings any text through. Inside a task it is what
        is committed.

        Args:
            prefix: whole labels; `()` is everything.
            history: with all kept versions of each item, and with those of deleted items.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            Compacted: an item was replaced meanwhile and what it was is pruned already.
        """
        here = self._here()
        inside = check_labels(prefix)
        return here._lines(exported(here._codec, here._committed, inside, history=history))

    @staticmethod
    def _lines(pages: Iterator[list[Line]]) -> Iterator[Line]:
        for page in pages:
            yield from page

    async def aexport(self, prefix: tuple[str, ...] = (), *, history: bool = False) -> AsyncIterator[Line]:
        """As `export`."""
        here = self._here()
        pages = exported(here._codec, here._committed, check_labels(prefix), history=history)
        while (page := await here._aside(lambda: next(pages, None))) is not None:
            for line in page:
                yield line

    def import_(
        self,
        lines: Iterable[Mapping[str, Any] | str | bytes],
        *,
        progress: Callable[[Imported], object] | None = None,
    ) -> Imported:
        """How much was written: the items of an export stand here as there, times, ends and origins included.

        In commits of a few hundred items each. An item that stands so already is left alone, so importing twice writes
        nothing; another value at its place is replaced, by a version of now at the earliest. History comes with items that
        are not there yet.

        Args:
            lines: what `export` gave, as dicts or as JSON text.
            progress: called after each commit with what was done so far.

        Raises:
            QueryError: no export, one that is cut off, or a bad line: the message has its number.
            NotSupported: in a task.
        """
        here = self._here()
        done = Imported(0, 0)
        for done in imported(here._codec, here._whole("import_"), lines):
            if progress is not None:
                progress(done)
        return done

    async def aimport(
        self,
        lines: Iterable[Mapping[str, Any] | str | bytes],
        *,
        progress: Callable[[Imported], object] | None = None,
    ) -> Imported:
        """As `import_`; `progress` is called on another thread at times."""
        return await self._here()._aside(lambda: self.import_(lines, progress=progress))

    def reindex(
        self,
        prefix: tuple[str, ...] = (),
        *,
        progress: Callable[[Reindexed], object] | None = None,
    ) -> Reindexed:
        """How many items were filed anew: all that are not filed as this store's `index=` says are, from now on.

        Call it after opening a database with another language, other fields, or a newer text analysis; until then searches
        read such items one by one. In commits of a few hundred items each; stopped, it goes on with the rest when called
        again. An item that others write meanwhile is left to them and looked at again. No version is made.

        Args:
            prefix: whole labels; `()` is everything.
            progress: called after each commit with what was done so far.

        Raises:
            QueryError: this store files nothing by words.
            NotSupported: in a task.
        """
        here = self._here()
        done = Reindexed(0, 0, 0)
        for done in reindexed(here._codec, here._whole("reindex"), check_labels(prefix)):
            if progress is not None:
                progress(done)
        return done

    async def areindex(
        self,
        prefix: tuple[str, ...] = (),
        *,
        progress: Callable[[Reindexed], object] | None = None,
    ) -> Reindexed:
        """As `reindex`; `progress` is called on another thread at times."""
        return await self._here()._aside(lambda: self.reindex(prefix, progress=progress))
