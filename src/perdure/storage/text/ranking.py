"""Items of a subtree by how well their words fit a query: BM25 over the committed postings and what a task has staged.

The statistics are those of the subtree as the reader sees it, so nobody's ranking depends on, or reveals, what others
have stored. Staged items, and items that are not filed as this store files, are read and analysed one by one, and count
like all others.

Exact while no term of the query stands in more than `EXACT` items of the subtree. Beyond, terms that are rarer give the
candidates; frequent ones add candidates, up to `CUT` in all, only if they could change the answer.
Here: scores. Not here: postings (the backends), terms (`analyser.py`), the order of what is found, filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from itertools import islice
from typing import Final, NamedTuple

from perdure.storage.contract import Filed, Posting
from perdure.storage.item_codec import ItemCodec
from perdure.storage.overlay import Overlay
from perdure.storage.text.analyser import TextQuery
from perdure.storage.text.bm25 import LEAST, LENGTH_WEIGHT, SATURATION, idf, most
from perdure.storage.text.filer import Filer

__all__ = ["CUT", "EXACT", "Ranking"]

EXACT: Final = 20_000
CUT: Final = 50_000
_COMPLETIONS: Final = 64  # terms that a prefix stands for


class _Unit(NamedTuple):
    """What is weighed as one word: a term, or all terms that begin so."""

    terms: tuple[str, ...]
    weight: float  # its idf
    frequency: int
    postings: list[Posting] | None  # None: it is frequent, they are read where they can matter


class Ranking:
    """How well the words of a query fit the items of a subtree.

    Args:
        view: the subtree.
        filer: how the store files.
        codec: decodes values.

    Attributes:
        cut: whether the last query met words so frequent that not all items were looked at.
    """

    def __init__(self, view: Overlay, filer: Filer, codec: ItemCodec) -> None:
        self.cut = False
        self._now = snapshot = view.now
        self._prefix = view.prefix
        self._hidden = view.hidden
        self._analysis = filer.analysis
        items, length, strays = snapshot.text_totals(view.prefix, filer.analysis)
        self._own: dict[int, Filed] = {}  # analysed here: staged, or filed otherwise
        for name, operation in view.staged.items():
            filed = codec.filed_of(operation)
            if filed is not None:
                self._own[name] = filed
        if strays:
            self._take_strays(view, filer, codec)
        hidden = snapshot.text_lengths(list(self._hidden), filer.analysis) if self._hidden else {}
        lengths = [filed.length for filed in self._own.values() if filed.counts]
        self._items = items - len(hidden) + len(lengths)
        self._average = (length - sum(hidden.values()) + sum(lengths)) / max(self._items, 1)

    def _take_strays(self, view: Overlay, filer: Filer, codec: ItemCodec) -> None:
        rows = {
            (row.namespace, row.key): row
            for row in view.now.strays(view.prefix, filer.analysis)
            if (row.namespace, row.key) not in view.touched
        }
        for ref, place in view.now.refs(list(rows)).items():
            row = rows[place]
            if row.value is not None:
                self._own[ref] = filer.filed(codec.written(*place, row.value)[0], row.paths)

    def scores(self, query: TextQuery, enough: int | None) -> dict[int, float]:
        """The score of each item that has a word of the query.

        Args:
            query: the words.
            enough: how many of the best will be asked for; None: not known, any may be dropped.
        """
        return self._scores(self._units(query), enough)

    # -- words -------------------------------------------------------------------------------------------------------

    def _units(self, query: TextQuery) -> list[_Unit]:
        """The words that stand anywhere, weighed by how rare they are."""
        wanted = [(term,) for term in query.terms] + [self._completions(start) for start in query.prefixes]
        units: list[_Unit] = []
        small = self._items + len(self._hidden) <= EXACT
        for terms in dict.fromkeys(wanted):
            frequency = 0 if small else self._frequency(terms)
            postings = self._read(terms) if frequency <= EXACT else None
            if postings is not None:
                frequency = len(postings)
            if frequency:
                units.append(_Unit(terms, idf(self._items, frequency), frequency, postings))
        return units

    def _completions(self, start: str) -> tuple[str, ...]:
        found = set(self._now.terms(self._prefix, self._analysis, start, _COMPLETIONS))
        for one in self._own.values():
            found.update(term for term in one.counts if term.startswith(start))
        return tuple(sorted(found)[:_COMPLETIONS])

    def _frequency(self, terms: tuple[str, ...]) -> int:
        if len(terms) != 1:
            return len({posting[0] for term in terms for posting in self._postings(term)})
        (term,) = terms
        count = self._now.frequency(self._prefix, self._analysis, term, self._items + len(self._hidden))
        if count and self._hidden:
            count -= len(self._now.postings_in(list(self._hidden), self._analysis, term))
        return count + sum(term in one.counts for one in self._own.values())

    def _postings(self, term: str) -> list[Posting]:
        found = self._now.postings(self._prefix, self._analysis, term)
        if self._hidden:
            found = [posting for posting in found if posting[0] not in self._hidden]
        return found + self._own_postings(term)

    def _own_postings(self, term: str) -> list[Posting]:
        return [
            (name, times, one.length) for name, one in self._own.items() if (times := one.counts.get(term, 0))
        ]

    def _read(self, terms: tuple[str, ...]) -> list[Posting]:
        if len(terms) == 1:
            return self._postings(terms[0])
        merged: dict[int, Posting] = {}
        for term in terms:
            for name, times, length in self._postings(term):
                before = merged.get(name)
                merged[name] = (name, times if before is None else before[1] + times, length)
        return list(merged.values())

    # -- scores ------------------------------------------------------------------------------------------------------

    def _scores(self, units: Sequence[_Unit], enough: int | None) -> dict[int, float]:
        """The score of each candidate. Summed in the order of the query, so that every backend gets the same number."""
        read = {place: unit.postings for place, unit in enumerate(units) if unit.postings is not None}
        frequent = [place for place, unit in enumerate(units) if unit.postings is None]
        if frequent:
            frequent.sort(key=lambda place: units[place].frequency)
            self.cut = True
            self._add_frequent(units, frequent, read, enough)
        return self._summed(units, read)

    def _summed(self, units: Sequence[_Unit], read: dict[int, list[Posting]]) -> dict[int, float]:
        scores: dict[int, float] = {}
        # `bm25.score`, written out: a term at a time.
        flat, slope = SATURATION * (1 - LENGTH_WEIGHT), SATURATION * LENGTH_WEIGHT / max(self._average, 1e-9)
        for place in sorted(read):
            weight = units[place].weight
            for name, times, length in read[place]:
                scores[name] = scores.get(name, 0.0) + weight * (
                    times / (times + flat + slope * length) + LEAST
                )
        return scores

    def _add_frequent(
        self, units: Sequence[_Unit], frequent: list[int], read: dict[int, list[Posting]], enough: int | None
    ) -> None:
        """Reads of frequent words what can matter."""
        candidates = {posting[0] for postings in read.values() for posting in postings}
        while frequent and len(candidates) < CUT and not self._settled(units, frequent, read, enough):
            place = frequent.pop(0)
            postings = self._read(units[place].terms)
            room = CUT - len(candidates)
            fresh = islice((one[0] for one in postings if one[0] not in candidates), room)
            candidates.update(list(fresh))
            read[place] = [posting for posting in postings if posting[0] in candidates]
        for place in frequent:
            read[place] = self._read_of(units[place], candidates)

    def _settled(
        self,
        units: Sequence[_Unit],
        frequent: Sequence[int],
        read: dict[int, list[Posting]],
        enough: int | None,
    ) -> bool:
        """Whether no item that has frequent words alone can be among the first `enough`."""
        if enough is None:
            return False
        known = self._summed(units, read)
        bound = sum(most(units[place].weight) for place in frequent)
        return len(known) >= enough and nlargest(enough, known.values())[-1] > bound

    def _read_of(self, unit: _Unit, candidates: set[int]) -> list[Posting]:
        committed = [name for name in candidates if name >= 0]
        merged: dict[int, Posting] = {}
        for term in unit.terms:
            found = self._now.postings_in(committed, self._analysis, term) + self._own_postings(term)
            for name, times, length in found:
                before = merged.get(name)
                merged[name] = (name, times if before is None else before[1] + times, length)
        return [posting for name, posting in merged.items() if name in candidates]
