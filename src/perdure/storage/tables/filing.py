"""What words find, as rows of a group: which postings come and go, and what that changes in the statistics.

Here: `Filing`, the net effect of a group on postings, texts and totals. Not here: items (`item_changes.py`), statements' order.
The terms an item was filed with are read once, before the first change; within a group the last word is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple, TypeAlias

from perdure.storage.tables.known import ItemState, Known
from perdure.storage.tables.rows import PreparedText, all_prefixed

__all__ = ["MOST_INDEXES", "NOWHERE", "Filing", "Rows"]

NOWHERE: Final = 0  # the index of items that are to be found and are filed nowhere
_NOTHING: Final = (0, 0, 0)
_NONE: Final[tuple[set[bytes], int]] = (set(), 0)
MOST_INDEXES: Final = 255  # their number is one byte

Ask: TypeAlias = Callable[[str, Iterable[tuple[Any, ...]]], list[tuple[Any, ...]]]


class Rows(NamedTuple):
    """What a group does to the tables: of each the values of its rows, one after the other."""

    indexes: list[int | bytes]
    removed: list[int | bytes]  # term, item
    postings: list[int | bytes]  # term, item, times, length
    no_texts: list[int]
    texts: list[int | bytes]  # item, terms
    totals: list[int]  # space, idx, then what is added


class Filing:
    """Gathers for one group."""

    __slots__ = ("_after", "_before", "_filed", "_indexes", "_known", "_totals")

    def __init__(self, known: Known) -> None:
        self._known = known
        self._indexes: list[int | bytes] = []
        self._filed: dict[
            int, bytes | None
        ] = {}  # item -> its terms as they are now, without the index's number, joined; None: none
        self._before: dict[
            int, tuple[set[bytes], int]
        ] = {}  # item -> its postings in the tables, and their length
        self._after: dict[int, tuple[int, PreparedText] | None] = {}  # None: it has no postings any more
        self._totals: dict[tuple[int, int], tuple[int, int, int]] = {}

    def learn(self, items: Sequence[int], names: Iterable[bytes], ask: Ask) -> None:
        """Reads the terms of items that are about to change, and the numbers of indexes."""
        unknown = [(item,) for item in items if item not in self._filed]
        if unknown:
            for item, terms in ask("find_texts", unknown):
                self._filed[item] = terms
        for name in names:
            if name not in self._known.indexes:
                for (number,) in ask("index_number", [(name,)]):
                    self._known.indexes[name] = number

    def learned(self, item: int, terms: bytes) -> None:
        """The terms of an item that may be about to change, joined as the tables have them."""
        self._filed.setdefault(item, terms)

    @property
    def new_indexes(self) -> int:
        """How many indexes have got a number that is not written yet."""
        return len(self._indexes) // 2  # number and name

    @property
    def changed(self) -> bool:
        """Whether there is anything to write."""
        return bool(self._indexes or self._after or self._totals)

    def number(self, name: bytes, following: Callable[[], int]) -> int:
        """The index's number; a new one if there is none."""
        number = self._known.indexes.get(name)
        if number is None:
            number = following()
            self._known.indexes[name] = number
            self._indexes += number, name
        return number

    def file(self, item: int, before: ItemState | None, text: PreparedText | None, idx: int | None) -> None:
        """The item is filed so from now on; `idx` None: it is not to be found."""
        space = item >> 32
        if before is not None and before.idx is not None:
            self._count(space, before.idx, before.length, -1)
            if before.length:
                terms = self._filed.pop(item, None)
                if item not in self._after:
                    known = () if terms is None else all_prefixed(before.idx, terms)
                    self._before[item] = set(known), before.length
                self._after[item] = None
        if idx is None:
            return
        length = 0 if text is None else text.length
        self._count(space, idx, length, 1)
        if text is not None and length:
            self._after[item] = idx, text
            self._filed[item] = text.terms
        else:
            self._filed[item] = None

    def _count(self, space: int, idx: int, length: int, sign: int) -> None:
        items, terms, empty = self._totals.get((space, idx), _NOTHING)
        if length:
            self._totals[space, idx] = (items + sign, terms + sign * length, empty)
        else:
            self._totals[space, idx] = (items, terms, empty + sign)

    def rows(self, texts: Mapping[int, bool]) -> Rows:
        """What is to be written, in the order of the tables' keys; nothing is left of it here but what is filed.

        `texts` are the items that were filed, and whether they had terms in the database before.
        """
        same: set[int] = set()  # items whose terms are what they were
        removed: list[tuple[bytes, int]] = []
        added: dict[bytes, list[int | bytes]] = {}  # term -> values of its postings
        for item, filed in sorted(self._after.items(), key=itemgetter(0)):
            gone, length = self._before.get(item, _NONE)
            if filed is None:
                removed += [(term, item) for term in gone]
                continue
            idx, text = filed
            terms = all_prefixed(idx, text.terms)
            postings: Iterable[tuple[bytes, int]] = zip(terms, text.times, strict=True)
            if gone:
                # Where no term came twice, what stands is (term, item, 1, length): what is still so is not written again.
                once = length == len(gone) == text.length
                postings = [one for one in postings if not (once and one[1] == 1 and one[0] in gone)]
                left = gone.difference(terms)
                removed += [(term, item) for term in left]
                if not left and len(terms) == len(gone):
                    same.add(item)
            length = text.length
            for term, times in postings:
                rows = added.get(term)
                if rows is None:
                    added[term] = [term, item, times, length]
                else:
                    rows += term, item, times, length
        found = Rows(
            self._indexes,
            list(chain.from_iterable(sorted(removed))),
            list(chain.from_iterable([added[term] for term in sorted(added)])),
            [item for item, had in texts.items() if had and self._filed.get(item) is None],
            [
                value
                for item in texts
                if item not in same and (joined := self._filed.get(item)) is not None
                for value in (item, joined)
            ],
            [value for key, sums in self._totals.items() if sums != _NOTHING for value in (*key, *sums)],
        )
        self._indexes, self._totals = [], {}
        self._before, self._after = {}, {}
        return found
