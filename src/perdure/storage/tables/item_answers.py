"""What a database answers about live items, and about their changes."""

from __future__ import annotations

from collections.abc import Sequence

from perdure.codec import decode_namespace, encode_namespace, text_to_bytes
from perdure.storage.contract import Forgettable, ItemRow, Namespace, Revision
from perdure.storage.tables import forgetting
from perdure.storage.tables.asking import LAST, Asking, bounded
from perdure.storage.tables.packing import range_of
from perdure.storage.tables.values import item_of, items_of

__all__ = ["ItemAnswers"]


class ItemAnswers(Asking):
    """See the contract."""

    def item(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The live item, or None."""
        rows = self._ask("item", (encode_namespace(namespace), text_to_bytes(key), self._now))
        return item_of(namespace, key, rows[0]) if rows else None

    def items(self, prefix: Namespace, before: int | None, limit: int) -> list[ItemRow]:
        """Live items of the subtree, greatest version first."""
        return self._items_living(prefix, before, limit, self._now)

    def _items_living(self, prefix: Namespace, before: int | None, limit: int, at: int) -> list[ItemRow]:
        first, end = range_of(prefix)
        newest = LAST if before is None else max(0, min(before, LAST))
        way = "items_of_few" if self._few((first, end)) else "items_of_many"
        return items_of(self._ask(way, (first, end, newest, min(limit, LAST), at)))

    def size(self, prefix: Namespace) -> int:
        """How many live items the subtree has."""
        ((found,),) = self._ask("size", (*range_of(prefix), self._now))
        return found

    def namespaces(self, prefix: Namespace) -> list[Namespace]:
        """Namespaces of the subtree that hold a live item, in tuple order."""
        return [decode_namespace(name) for (name,) in self._ask("namespaces", (*range_of(prefix), self._now))]

    def lapsed(self, prefix: Namespace, until: int, limit: int) -> list[ItemRow]:
        """Items of the subtree not swept whose time was over then, first ended first."""
        values = (*range_of(prefix), bounded(until), max(0, min(limit, LAST)))
        return items_of(self._ask("lapsed", values))

    def changes(self, after: Revision | None, limit: int) -> list[ItemRow]:
        """Versions written after `after`, deletions included, by version; whole commits."""
        newest = self._newest()  # a commit beyond may be seen, and others before it may still come
        if after is not None and after >= Revision(0, newest):
            return []
        first = 0 if after is None or after.epoch < 0 else (after.seq + 1) << 20
        last = self._ask("nth_version", (first, max(limit, 1) - 1))
        end = (min(last[0][0] >> 20, newest) if last else newest) + 1 << 20
        return items_of(self._ask("changes", (first, end)))

    def forgettable(self, prefix: Namespace) -> Forgettable:
        """What `ForgetItems` would take."""
        return forgetting.counted(self._ask_block, range_of(prefix))

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        """The id of each item that lives, or whose deletion is kept."""
        wanted = [
            (number, encode_namespace(space), text_to_bytes(key))
            for number, (space, key) in enumerate(places)
        ]
        return {places[number]: id for number, id in self._ask_many("item_numbers", wanted)}
