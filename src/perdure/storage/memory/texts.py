"""What words find in the memory backend: postings in dicts, a namespace at a time.

Here: `Texts`, which items are filed under which index with which terms. Not here: the items (`item_changes.py`), what terms
are (`text/`), scores.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, islice
from typing import Any, TypeAlias

from perdure.storage.contract import Filed, Namespace, Posting, TextTotals
from perdure.storage.memory.subtrees import below

Where: TypeAlias = tuple[Namespace, str]
_NOWHERE = ""  # the index of items that are to be found and are filed nowhere
_HIDDEN = Filed("", {}, -1)  # stands for: not to be found


class _Shelf:
    """One index in one namespace."""

    __slots__ = ("empty", "items", "length", "terms")

    def __init__(self) -> None:
        self.terms: dict[str, dict[int, int]] = {}  # term -> ref -> how often
        self.items = 0  # with terms
        self.length = 0
        self.empty = 0  # filed without terms


class Texts:
    """Who uses it holds the backend's lock."""

    def __init__(self) -> None:
        self.places: dict[int, Where] = {}  # ref -> where
        self._refs: dict[Where, int] = {}
        self._filed: dict[int, Filed | None] = {}  # items that are to be found
        self._shelves: dict[Namespace, dict[str, _Shelf]] = {}
        self._spaces: list[Namespace] = []  # those of `_shelves`, in order: a subtree is a range
        self._next = count(1)
        self._torn = False

    def ref(self, where: Where) -> int | None:
        """The item's number, if it lives."""
        ref = self._refs.get(where)
        return ref if ref in self.places else None

    def number(self, where: Where) -> int | None:
        """The item's number, if it lives or was not dropped."""
        return self._refs.get(where)

    def file(self, where: Where, filed: Filed | None, *, to_find: bool) -> None:
        """The item lives, and is filed so from now on."""
        ref = self._refs.get(where)
        if ref is None:
            ref = next(self._next)
        self.places[ref] = where
        self._refs[where] = ref
        self._refile(ref, where[0], filed if to_find else _HIDDEN)

    def remove(self, where: Where) -> None:
        """The item is gone; it keeps its number, for when it comes again."""
        ref = self._refs.get(where)
        if ref is not None:
            self._refile(ref, where[0], _HIDDEN)
            self.places.pop(ref, None)

    def drop(self, where: Where) -> None:
        """Nothing is known of the item any more, which was removed before."""
        self._refs.pop(where, None)

    def tear(self) -> None:
        """A signal came in the middle of the above: until `mend`, only what is filed is kept, not what follows from it."""
        self._torn = True

    def mend(self) -> None:
        """What follows from what is filed is made anew."""
        self._shelves, self._spaces = {}, []
        for ref in set(self.places) - set(self._refs.values()):
            del self.places[ref]
        for ref, filed in self._filed.items():
            self._put_in(ref, self.places[ref][0], filed)
        self._torn = False

    def wrong(self, living: Mapping[Where, bool]) -> tuple[int, int, int, int]:
        """What does not agree with the living items (whether each is to be found), and in itself.

        Items with terms that are gone or not to be found; items without a number; items to be found that are filed nowhere
        at all; namespaces whose shelves are not what is filed.
        """
        to_find = {self._refs.get(where) for where, found in living.items() if found}
        sound = Texts()
        for ref, filed in self._filed.items():
            if ref in self.places:
                sound._put_in(ref, self.places[ref][0], filed)
        spaces = self._shelves.keys() | sound._shelves.keys()
        return (
            len(self._filed.keys() - to_find) + len(set(self.places.values()) - living.keys()),
            len(living.keys() - set(self.places.values())),
            len(to_find - self._filed.keys() - {None}),
            sum(_plain(self._shelves, space) != _plain(sound._shelves, space) for space in spaces)
            + (sorted(self._shelves) != self._spaces),
        )

    def unfile(self, living: Mapping[Where, bool]) -> None:
        """The living items that are to be found are filed nowhere; others not at all."""
        # Items that are gone keep their numbers while their deletion is kept.
        self.places = {ref: where for where, ref in self._refs.items() if where in living}
        self._filed = {}
        for where, to_find in living.items():
            if where not in self._refs:
                ref = next(self._next)
                self._refs[where], self.places[ref] = ref, where
            if to_find:
                self._filed[self._refs[where]] = None
        self.mend()

    def _refile(self, ref: int, namespace: Namespace, filed: Filed | None) -> None:
        before = self._filed.get(ref, _HIDDEN)
        if filed is _HIDDEN:
            self._filed.pop(ref, None)
        else:
            self._filed[ref] = filed
        if self._torn:
            return  # the shelves are made anew in the end
        if before is not _HIDDEN:
            self._take_out(ref, namespace, before)
        if filed is not _HIDDEN:
            self._put_in(ref, namespace, filed)

    def _put_in(self, ref: int, namespace: Namespace, filed: Filed | None) -> None:
        name = _NOWHERE if filed is None else filed.analysis
        shelves = self._shelves.get(namespace)
        if shelves is None:
            shelves = self._shelves[namespace] = {}
            insort(self._spaces, namespace)
        shelf = shelves.get(name) or shelves.setdefault(name, _Shelf())
        if filed is None or not filed.counts:
            shelf.empty += 1
            return
        shelf.items += 1
        shelf.length += filed.length
        for term, times in filed.counts.items():
            shelf.terms.setdefault(term, {})[ref] = times

    def _take_out(self, ref: int, namespace: Namespace, filed: Filed | None) -> None:
        name = _NOWHERE if filed is None else filed.analysis
        shelf = self._shelves[namespace][name]
        if filed is None or not filed.counts:
            shelf.empty -= 1
        else:
            shelf.items -= 1
            shelf.length -= filed.length
            for term in filed.counts:
                refs = shelf.terms[term]
                del refs[ref]
                if not refs:
                    del shelf.terms[term]
        if not shelf.items and not shelf.empty:
            shelves = self._shelves[namespace]
            del shelves[name]
            if not shelves:
                del self._shelves[namespace]
                del self._spaces[bisect_left(self._spaces, namespace)]

    # -- questions ---------------------------------------------------------------------------------------------------

    def totals(self, prefix: Namespace, index: str) -> TextTotals:
        """The statistics of the subtree."""
        items = length = strays = 0
        for space in below(self._spaces, prefix):
            for name, shelf in self._shelves[space].items():
                if name == index:
                    items += shelf.items
                    length += shelf.length
                else:
                    strays += shelf.items + shelf.empty
        return TextTotals(items, length, strays)

    def strays(self, prefix: Namespace, index: str) -> list[Where]:
        """Items of the subtree that are to be found and are not filed under the index."""
        size = len(prefix)
        return [
            self.places[ref]
            for ref, filed in self._filed.items()
            if (filed is None or filed.analysis != index) and self.places[ref][0][:size] == prefix
        ]

    def _with_term(self, prefix: Namespace, index: str, term: str) -> Iterator[tuple[int, int]]:
        shelves = (self._shelves[space].get(index) for space in below(self._spaces, prefix))
        return chain.from_iterable(
            shelf.terms[term].items() for shelf in shelves if shelf is not None and term in shelf.terms
        )

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        """Items of the subtree that have the term."""
        return [(ref, times, self._length(ref)) for ref, times in self._with_term(prefix, index, term)]

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        """How many items of the subtree have the term."""
        return sum(1 for _ in islice(self._with_term(prefix, index, term), max(most, 0)))

    def _length(self, ref: int) -> int:
        filed = self._filed[ref]
        return 0 if filed is None else filed.length

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        """Those of the items that have the term."""
        found: list[Posting] = []
        for ref in refs:
            filed = self._filed.get(ref)
            times = 0 if filed is None or filed.analysis != index else filed.counts.get(term, 0)
            if filed is not None and times:
                found.append((ref, times, filed.length))
        return found

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        """Terms of the subtree that begin so, in order."""
        shelves = (self._shelves[space].get(index) for space in below(self._spaces, prefix))
        found = {
            term
            for shelf in shelves
            if shelf is not None
            for term in shelf.terms
            if term.startswith(beginning)
        }
        return sorted(found)[: max(limit, 0)]

    def lengths(self, refs: Sequence[int], index: str) -> dict[int, int]:
        """The number of terms of each that has any."""
        known: Mapping[int, Filed | None] = self._filed
        return {
            ref: filed.length
            for ref in refs
            if (filed := known.get(ref)) is not None and filed.analysis == index and filed.counts
        }

    def count(self, prefix: Namespace = ()) -> int:
        """Postings of the subtree."""
        size = len(prefix)
        return sum(
            len(filed.counts)
            for ref, filed in self._filed.items()
            if filed is not None and self.places[ref][0][:size] == prefix
        )


def _plain(shelves: dict[Namespace, dict[str, _Shelf]], space: Namespace) -> dict[str, Any]:
    """A namespace's shelves, to compare."""
    return {
        name: (shelf.terms, shelf.items, shelf.length, shelf.empty)
        for name, shelf in shelves.get(space, {}).items()
    }
