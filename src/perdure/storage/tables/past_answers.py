"""What a database answers about the past of memory: what was replaced, and of the present what stood already then.

Here: values. Not here: the questions, and what is kept (`past.py`).
"""

from __future__ import annotations

from perdure.codec import bytes_to_text, decode_namespace, encode_namespace, text_to_bytes
from perdure.storage.contract import History, ItemRow, Namespace, Revision
from perdure.storage.standing import Anchors, Near, all_near
from perdure.storage.tables import nearby
from perdure.storage.tables.asking import LAST, bounded
from perdure.storage.tables.item_answers import ItemAnswers
from perdure.storage.tables.packing import range_of
from perdure.storage.tables.past import Past, first_after
from perdure.storage.tables.values import item_of, items_of

__all__ = ["PastAnswers"]


class PastAnswers(ItemAnswers):
    """See the contract."""

    _past: Past | None = None  # made for whoever asks for it

    def _then(self) -> Past:
        if self._past is None:
            self._past = Past(self._ask, self._ask_many, self._few)
        return self._past

    def complete_since(self, prefix: Namespace, after: Revision) -> Revision:
        """The first revision from there on, behind which no change of the subtree is missing."""
        return self._then().complete_since(range_of(prefix), after)

    def revision_at(self, at: int) -> Revision:
        """The greatest revision whose commit was made at or before."""
        return self._then().revision_at(bounded(at))

    def time_of(self, revision: Revision) -> int:
        """When that commit was made."""
        return self._then().time_of(revision)

    def floor(self) -> Revision:
        """Of an older revision than this, deleted items may be gone without a trace."""
        return self._then().floor()

    def history(self, namespace: Namespace, key: str, limit: int) -> History:
        """The item's newest kept versions."""
        where = (encode_namespace(namespace), text_to_bytes(key))
        rows = self._ask("history", (*where, min(limit, LAST)))
        return History(
            [item_of(namespace, key, row[1:]) for row in rows], whole=not rows or rows[-1][0] is None
        )

    def item_at(
        self, namespace: Namespace, key: str, revision: Revision, at: int | None = None
    ) -> ItemRow | None:
        """The item as it was then."""
        at = self.time_of(revision) if at is None else at
        row = self._then().item(encode_namespace(namespace), text_to_bytes(key), revision, at)
        return None if row is None else item_of(namespace, key, row)

    def items_at(
        self, prefix: Namespace, revision: Revision, before: int | None, limit: int, at: int | None = None
    ) -> list[ItemRow]:
        """Items of the subtree as they were then, greatest version first."""
        first, end = range_of(prefix)
        at = bounded(self.time_of(revision) if at is None else at)
        below = LAST if before is None else max(0, min(before, LAST))
        replaced = self._then().replaced((first, end), revision, at, below, min(limit, LAST))
        living = self._items_living(prefix, min(below, first_after(revision)), limit, at)
        untouched = [row if row.paths is None else row._replace(paths=None) for row in living]
        both = sorted([*items_of(replaced), *untouched], key=lambda row: -row.version)
        return both[:limit]

    def around_at(
        self, anchors: Anchors, count: int, revision: Revision, at: int | None = None
    ) -> list[Near]:
        """As `around`, as it was then: what was not written since, and the versions that stood of what was."""
        at = bounded(self.time_of(revision) if at is None else at)

        def replaced(space: Namespace) -> list[ItemRow]:
            rows = items_of(self._then().replaced(range_of(space), revision, at, LAST, LAST))
            return [row for row in rows if row.namespace == space]

        untouched = nearby.around(self._ask_many, items_of, anchors, count, first_after(revision), at)
        return [
            nearby.merged([*one, *other], where, count)
            for one, other, (_, where) in zip(
                untouched, all_near(anchors, count, replaced, self.numbers), anchors, strict=True
            )
        ]

    def namespaces_at(self, prefix: Namespace, revision: Revision, at: int | None = None) -> list[Namespace]:
        """Namespaces of the subtree that held a live item then."""
        at = bounded(self.time_of(revision) if at is None else at)
        return [decode_namespace(name) for name in self._then().namespaces(range_of(prefix), revision, at)]

    def touched(self, prefix: Namespace, after: Revision, thread: str | None) -> list[tuple[Namespace, str]]:
        """Items of the subtree with a later version, of that thread if it is given."""
        rows = self._then().touched(range_of(prefix), after, thread)
        return [(decode_namespace(name), bytes_to_text(key)) for name, key in rows]
