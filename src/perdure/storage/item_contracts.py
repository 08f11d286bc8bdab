"""Memory contracts in every store of ours: rewriting what is older, in the two colours.

Not here: what a contract says (`contracts/`), where it is looked at (`item_codec.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from perdure.errors import QueryError
from perdure.storage.contract import Backend
from perdure.storage.contracts.rewriting import Migrated, rewritten
from perdure.storage.item_codec import ItemCodec
from perdure.store.base.ops import check_labels

__all__ = ["ItemContracts"]

T = TypeVar("T")


class ItemContracts(ABC):
    """Part of a store. Safe from any thread, in both colours."""

    _codec: ItemCodec

    @abstractmethod
    def _here(self) -> ItemContracts:
        """The store that answers in this context."""

    @abstractmethod
    def _whole(self, what: str) -> Backend:
        """The database, for work in many commits."""

    @abstractmethod
    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""

    def migrate_contracts(
        self,
        prefix: tuple[str, ...] = (),
        *,
        progress: Callable[[Migrated], object] | None = None,
    ) -> Migrated:
        """How many items were written anew, as their contracts have them now; readers see no difference, searches do.

        Until then `migrate` is called at every read of such an item, and words and vectors are those of the value as it was
        written. In commits of a few hundred items each; stopped, it goes on with the rest when called again. Each is a new
        version by the actor `"contract"`, told to who watches; an item ends when it did before. An item that others write
        meanwhile is left to them and looked at again.

        Args:
            prefix: whole labels; `()` is everything.
            progress: called after each commit with what was done so far.

        Raises:
            ContractError: at the end, if items cannot be brought up to date: the first of them. All others are rewritten.
            QueryError: the store was opened without contracts.
            EmbeddingError: the model failed; what was rewritten before stays.
            NotSupported: in a task.
        """
        here = self._here()
        backend, inside = here._whole("migrate_contracts"), check_labels(prefix)
        contracts = here._codec.contracts
        if contracts is None:
            raise QueryError(
                "migrate_contracts: this store was opened without contracts=. Nothing was written.",
                part="contracts",
            )
        done = Migrated(0, 0)
        for done in rewritten(here._codec, contracts, backend, inside):
            if progress is not None:
                progress(done)
        return done

    async def amigrate_contracts(
        self,
        prefix: tuple[str, ...] = (),
        *,
        progress: Callable[[Migrated], object] | None = None,
    ) -> Migrated:
        """As `migrate_contracts`; `progress` is called on another thread at times."""
        return await self._here()._aside(lambda: self.migrate_contracts(prefix, progress=progress))
