"""Items of a subtree by how well their words fit a query: BM25 over the committed postings and what a task has staged.

The statistics are those of the subtree as the reader sees it, so nobody's ranking depends on, or reveals, what others
have stored. Staged items, and items that are not filed as this store files, are read and analysed one by one, and count
like all others.

Words are read from the rarest on, until no item that has only the others can be among the best (Turtle & Flood 1995, MaxScore);
of the others only the postings of items that still can are read. Exact while no term of the query stands in more than `EXACT`
items of the subtree; more frequent terms add candidates up to `CUT` in all.
Here: scores. Not here: postings (the backends), terms (`analyser.py`), the order of what is found, filters.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import nlargest
from typing import Final, NamedTuple

from perdure.storage.contract import Filed, Posting, WordsAsked, foretelling
from perdure.storage.item_codec import ItemCodec
from perdure.storage.overlay import Overlay
from perdure.storage.text.analyser import TextQuery
from perdure.storage.text.bm25 import LEAST, LENGTH_WEIGHT, SATURATION, idf, most
from perdure.storage.text.filer import Filer

__all__ = ["CUT", "EXACT", "Ranking", "foretell"]

EXACT: Final = 20_000
CUT: Final = 50_000
_COMPLETIONS: Final = 64  # terms that a prefix stands for
_LAPSED: Final = (
    1000  # items that have expired and were not swept; where there are more, some may be missing in an answer
)
_ROUNDING: Final = 1e-9
_SEEKS: Final = 3  # one costs as much as so many rows of a range


class _Unit(NamedTuple):
    """What is weighed as one word: a term, or all terms that begin so."""

    terms: tuple[str, ...]
    weight: float  # its idf
    frequency: int
    postings: list[Posting] | None  # None: there are many, they are read where they can matter


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
            postings = self._read(terms) if small else None
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
        """The score of each candidate. Summed from the rarest word on, so that every backend gets the same number."""
        left = sorted(units, key=lambda unit: unit.frequency)
        if enough is not None:
            enough += len(self._now.lapsed(self._prefix, self._now.now(), _LAPSED))
        scores: dict[int, float] = {}
        least: float | None = None
        bound = 0.0
        while left:
            bound = sum(most(unit.weight) for unit in left)
            if enough is not None and left[0].postings is None and len(scores) >= enough:
                least = nlargest(max(enough, 1), scores.values())[-1]
                if least > bound:
                    break
            room = CUT - len(scores)
            if left[0].frequency > EXACT and room <= 0:
                self.cut = True
                break
            self._add(scores, left[0], self._new(scores, left[0], room))
            del left[0]
        if left and least is not None:
            scores = {name: score for name, score in scores.items() if score + bound >= least - _ROUNDING}
        self._foretell(left, scores)
        for unit in left:
            self._add(scores, unit, self._read_of(unit, scores))
        return scores

    def _foretell(self, left: Sequence[_Unit], candidates: dict[int, float]) -> None:
        ahead = foretelling(self._now) if len(left) > 1 else None
        if ahead is not None:
            sought = [unit for unit in left if unit.frequency >= _SEEKS * len(candidates)]
            terms = [term for unit in sought for term in unit.terms]
            if len(terms) > 1:
                ahead.foretell_postings_in([name for name in candidates if name >= 0], self._analysis, terms)

    def _new(self, scores: dict[int, float], unit: _Unit, room: int) -> list[Posting]:
        """All postings of the word; of a frequent one those of candidates, and of as many others as there is room for."""
        postings = self._read(unit.terms) if unit.postings is None else unit.postings
        if unit.frequency <= EXACT:
            return postings
        fresh = [posting for posting in postings if posting[0] not in scores]
        if len(fresh) <= room:
            return postings
        self.cut = True
        return [posting for posting in postings if posting[0] in scores] + fresh[:room]

    def _add(self, scores: dict[int, float], unit: _Unit, postings: Sequence[Posting]) -> None:
        """`bm25.score`, written out: a term at a time."""
        flat, slope = SATURATION * (1 - LENGTH_WEIGHT), SATURATION * LENGTH_WEIGHT / max(self._average, 1e-9)
        weight, get = unit.weight, scores.get
        for name, times, length in postings:
            scores[name] = get(name, 0.0) + weight * (times / (times + flat + slope * length) + LEAST)

    def _read_of(self, unit: _Unit, candidates: dict[int, float]) -> list[Posting]:
        """The postings of these items."""
        if unit.frequency < _SEEKS * len(candidates):
            return [posting for posting in self._read(unit.terms) if posting[0] in candidates]
        committed = [name for name in candidates if name >= 0]
        merged: dict[int, Posting] = {}
        for term in unit.terms:
            found = self._now.postings_in(committed, self._analysis, term) + self._own_postings(term)
            for name, times, length in found:
                before = merged.get(name)
                merged[name] = (name, times if before is None else before[1] + times, length)
        return [posting for name, posting in merged.items() if name in candidates]


def foretell(view: Overlay, filer: Filer, query: TextQuery, enough: int | None, model: str | None) -> None:
    """Tells the snapshot what `Ranking` will ask for this query, where it wants to know.

    Args:
        view: the subtree.
        filer: how the store files.
        query: the words.
        enough: as for `scores`.
        model: whose vectors will be asked for besides; None: nobody's.
    """
    ahead = foretelling(view.now)
    if ahead is not None:
        asked = WordsAsked(
            filer.analysis,
            query.terms,
            query.prefixes,
            _COMPLETIONS,
            EXACT,
            0 if enough is None else _LAPSED,
            model,
        )
        ahead.foretell_words(view.prefix, asked)
