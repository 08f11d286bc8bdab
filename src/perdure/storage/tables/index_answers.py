"""What a database answers about words and vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perdure.codec import bytes_to_text, encode_namespace, text_to_bytes
from perdure.storage.contract import Disagreement, ItemRow, Namespace, Posting, TextTotals, VectorSpace
from perdure.storage.standing import Anchors, Near
from perdure.storage.tables import checking, nearby
from perdure.storage.tables.asking import LAST, Asking
from perdure.storage.tables.packing import range_of
from perdure.storage.tables.rows import prefixed
from perdure.storage.tables.values import items_of

__all__ = ["IndexAnswers"]

_NO_INDEX: Final = -1
_SEVERAL: Final = 16  # namespaces: a seek in each is no matter
_MANY_NAMESPACES: Final = 20_000  # counted up to here


class IndexAnswers(Asking):
    """See the contract."""

    _spaces: dict[tuple[bytes, bytes], int] | None = (
        None  # how many namespaces, of ranges that were asked for
    )

    def _index(self, name: str) -> int:
        """The index's number; one that nothing is filed under if there is none."""
        rows = self._ask("index_number", (text_to_bytes(name),))
        return rows[0][0] if rows else _NO_INDEX

    def text_totals(self, prefix: Namespace, index: str) -> TextTotals:
        """The statistics of the subtree."""
        return TextTotals(*self._ask("text_totals", (*range_of(prefix), self._index(index)))[0])

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        """The live items of the subtree that have the term."""
        number = self._index(index)
        if number == _NO_INDEX:
            return []
        filed = prefixed(number, text_to_bytes(term))
        if prefix:
            inside = range_of(prefix)
            way = "postings_of_many" if self._is_rare(inside, filed) else "postings"
            return self._ask(way, (*inside, filed))
        return self._ask("postings_of_all", (filed,))

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        """How many `postings` would give, counted up to `most`."""
        number = self._index(index)
        if number == _NO_INDEX:
            return 0
        filed, most = prefixed(number, text_to_bytes(term)), max(0, min(most, LAST))
        if prefix:
            inside = range_of(prefix)
            way = "frequency_of_many" if self._is_rare(inside, filed) else "frequency"
            return self._ask(way, (*inside, filed, most))[0][0]
        return self._ask("frequency_of_all", (filed, most))[0][0]

    def _is_rare(self, inside: tuple[bytes, bytes], filed: bytes) -> bool:
        """Whether the term has fewer postings in the whole database than the subtree has namespaces, which are many."""
        if self._spaces is None:
            self._spaces = {}
        spaces = self._spaces.get(inside)
        if spaces is None:
            ((spaces,),) = self._ask("count_namespaces", (*inside, _MANY_NAMESPACES))
            self._spaces[inside] = spaces
        return spaces > _SEVERAL and self._ask("frequency_of_all", (filed, spaces))[0][0] < spaces

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        """As `postings`, of these items only."""
        number = self._index(index)
        if number == _NO_INDEX:
            return []
        filed = prefixed(number, text_to_bytes(term))
        found = self._ask_many("postings_in", [(filed, ref) for ref in dict.fromkeys(refs)])
        return list({row[0]: row for row in found}.values())

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        """Terms of the subtree that begin so, in order."""
        number = self._index(index)
        if number == _NO_INDEX:
            return []
        first = at = prefixed(number, text_to_bytes(beginning))
        found: list[str] = []
        while len(found) < limit:
            rows = self._ask("next_term", (at,))
            if not rows or not rows[0][0].startswith(first):
                break
            term = bytes_to_text(rows[0][0][1:])
            if not prefix or self.frequency(prefix, index, term, 1):
                found.append(term)
            at = rows[0][0] + b"\0"  # no term holds one, so none lies between
        return found

    def strays(self, prefix: Namespace, index: str) -> list[ItemRow]:
        """The live items of the subtree that are to be found and are filed otherwise."""
        return items_of(self._ask("strays", (*range_of(prefix), self._index(index), self._now)))

    def refs(self, places: Sequence[tuple[Namespace, str]]) -> dict[int, tuple[Namespace, str]]:
        """The live items among these, by their ids."""
        wanted = [
            (number, encode_namespace(space), text_to_bytes(key), self._now)
            for number, (space, key) in enumerate(places)
        ]
        return {id: places[number] for number, id in self._ask_many("refs", wanted)}

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        """The version of each live item."""
        return dict(self._ask_many("item_versions", [(ref, self._now) for ref in refs]))

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        """The live items."""
        found = self._ask_many("items_by_id", [(ref, self._now) for ref in refs])
        return dict(zip([row[0] for row in found], items_of([row[1:] for row in found]), strict=True))

    def times(self, refs: Sequence[int]) -> dict[int, int]:
        """When each live item was written last."""
        return dict(self._ask_many("item_times", [(ref, self._now) for ref in refs]))

    def around(self, anchors: Anchors, count: int) -> list[Near]:
        """For each anchor the live items of its namespace that stand nearest on either side."""
        return nearby.around(self._ask_many, items_of, anchors, count, LAST, self._now)

    def text_lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        """How many terms each is filed with under this index."""
        number = self._index(index)
        return dict(self._ask_many("text_lengths", [(ref, number, self._now) for ref in refs]))

    def disagreements(self) -> list[Disagreement]:
        """Where what is made of the items does not agree with them."""
        return checking.disagreements(self._ask_block, self._ask_many, self._own_disagreements())

    def vector_spaces(self, prefix: Namespace, model: str) -> list[VectorSpace]:
        """Namespaces of the subtree with vectors of this model."""
        rows = self._ask("vector_spaces", (*range_of(prefix), self._index(model)))
        return list(map(VectorSpace._make, rows))

    def vectors(self, space: int, model: str, after: int, start: int, limit: int) -> list[tuple[int, bytes]]:
        """(item, its vectors) of the namespace, by item, of commits later than `after`."""
        if after <= 0:
            return self._ask("all_vectors", (space, self._index(model), start, limit))
        return self._ask("vectors", (space, self._index(model), after, start, limit))

    def embedded(self, space: int, model: str) -> list[int]:
        """The items of the namespace that have vectors, in order."""
        return [item for (item,) in self._ask("embedded", (space, self._index(model)))]

    def owed(self, after: int, limit: int) -> list[ItemRow]:
        """The live items whose vectors are owed, by version, after that one."""
        return items_of(self._ask("owed", (after, self._now, limit)))
