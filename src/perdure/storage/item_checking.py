"""Checking memory in every store of ours: whether what is made of the items agrees with them, and mending it.

Here: arguments, what mends what, the two colours. Not here: what is compared (the backends' `checking.py`), what is told
(`contract/disagreements.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from perdure.errors import QueryError
from perdure.storage import outcome
from perdure.storage.contract import (
    Backend,
    Disagreement,
    MendIndexes,
    MendVectors,
    Removal,
    UnfileItems,
    commit_now,
)
from perdure.storage.item_codec import ItemCodec
from perdure.storage.reindexing import reindexed
from perdure.storage.vectors.reembedding import reembedded

__all__ = ["ItemChecking"]

T = TypeVar("T")


class ItemChecking(ABC):
    """Whether memory agrees with itself. Safe from any thread, in both colours."""

    _codec: ItemCodec

    @abstractmethod
    def _here(self) -> ItemChecking:
        """The store that answers in this context."""

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    @abstractmethod
    def _whole(self, what: str) -> Backend:
        """The database, for work in many commits."""

    def check(self, *, repair: bool = False) -> list[tuple[str, int]]:
        """What in memory does not agree with its items: what, and how many it concerns. Empty: all agrees.

        Compared with the items are what words and vectors find, when items end, and the database's own indexes, declared
        ones included (SQLite's integrity check). It reads all of memory; others can read and write meanwhile.

        Args:
            repair: then what was found wrong is made anew from the items. Words: the whole index, as this store's `index=`
                says; searches stay right meanwhile, and slow. Vectors: those that are nobody's go; items that lost theirs
                count as having none, and are embedded if this store has a model, else by `reindex()` of one that has.
                An item whose value is lost cannot be made anew.

        Raises:
            QueryError: to repair the index of words, the store must file by words. Nothing was written.
            EmbeddingError: the model failed; all but its vectors is mended. Call `reindex()`.
            NotSupported: in a task.
        """
        here = self._here()
        backend = here._whole("check")
        found = _found(backend)
        if repair:
            here._mend(backend, found)
            if any(one.part == "indexes" for one in found):  # now the rest can be seen
                more = [one for one in _found(backend) if one not in found]
                here._mend(backend, more)
                found += more
        return [(one.what, one.size) for one in found]

    async def acheck(self, *, repair: bool = False) -> list[tuple[str, int]]:
        """As `check`."""
        return await self._here()._aside(lambda: self.check(repair=repair))

    def _mend(self, backend: Backend, found: list[Disagreement]) -> None:
        codec, parts = self._codec, {one.part for one in found}
        if "words" in parts and codec.filer is None:
            raise QueryError(
                "check(repair=True): the index of words disagrees with the items, and this store files nothing by words (it"
                " is encrypted, or index= has text=False), so it cannot make it anew. Nothing was written. Repair with a"
                " store that does.",
                part="index",
            )
        mending: list[Removal] = []
        if "indexes" in parts:
            mending.append(MendIndexes())
        if "vectors" in parts:
            mending.append(MendVectors())
        if "words" in parts:
            mending.append(UnfileItems())
        if mending:
            outcome.commit(backend, commit_now(removals=mending))
        if "words" in parts:
            for _ in reindexed(codec, backend, ()):
                pass
        elif "vectors" in parts and codec.embedder is not None:
            for _ in reembedded(codec, backend, ()):
                pass


def _found(backend: Backend) -> list[Disagreement]:
    with backend.read() as snapshot:
        return snapshot.disagreements()
