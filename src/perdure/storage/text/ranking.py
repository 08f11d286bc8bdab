"""Items of a subtree by how well their words fit a query: BM25 over the committed postings and what a task has staged.

The statistics are those of the subtree as the reader sees it, so nobody's ranking depends on, or reveals, what others
have stored. Staged items, and items that are not filed as this store files, are read and analysed one by one, and count
like all others.

Exact while no term of the query stands in more than `EXACT` items of the subtree. Beyond, terms that are rarer give the
candidates; frequent ones add candidates, up to `CUT` in all, only if they could change the answer.
Here: scores and their order. Not here: postings (the backends), terms (`analyser.py`), filters.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple

from perdure.storage.contract import Filed, ItemRow, Namespace, Posting, Snapshot
from perdure.storage.item_codec import ItemCodec
from perdure.storage.staging import Layers, staged_in
from perdure.storage.text.analyser import TextQuery
from perdure.storage.text.bm25 import LENGTH_WEIGHT, SATURATION, idf, most
from perdure.storage.text.filer import Filer

__all__ = ["CUT", "EXACT", "Hit", "ranked"]

EXACT: Final = 20_000
CUT: Final = 50_000
_COMPLETIONS: Final = 64  # terms that a prefix stands for
_PAGE: Final = 64  # rows fetched at once


class Hit(NamedTuple):
    """An item that was found."""

    score: float
    row: ItemRow
    value: dict[str, Any]


class _Unit(NamedTuple):
    """What is weighed as one word: a term, or all terms that begin so."""

    terms: tuple[str, ...]
    weight: float  # its idf
    frequency: int
    postings: list[Posting] | None  # None: it is frequent, they are read where they can matter


class _Own(NamedTuple):
    """An item that is analysed here: staged, or filed otherwise."""

    row: ItemRow
    filed: Filed


def ranked(
    snapshot: Snapshot,
    layers: Layers,
    prefix: Namespace,
    query: TextQuery,
    filer: Filer,
    codec: ItemCodec,
    enough: int | None,
) -> Iterator[Hit]:
    """The items that have a word of the query, best first; among equals the newest first.

    Args:
        snapshot: what is committed; read while the iterator runs.
        layers: what lies over it.
        prefix: the subtree.
        query: the words.
        filer: how the store files.
        codec: decodes values.
        enough: how many will be asked for; None: not known, any may be dropped.
    """
    view = _View(snapshot, layers, prefix, filer, codec)
    units = view.units(query)
    scores = view.scores(units, enough)
    for score, row in view.in_order(scores, enough or _PAGE):
        value = codec.decode(row.namespace, row.key, row.value or b"")
        if query.phrases:
            texts = filer.texts(value, row.paths)
            if not all(filer.has_phrase(texts, phrase) for phrase in query.phrases):
                continue
        yield Hit(score, row, value)


class _View:
    """The subtree as one reader sees it."""

    def __init__(
        self, snapshot: Snapshot, layers: Layers, prefix: Namespace, filer: Filer, codec: ItemCodec
    ) -> None:
        self._now = snapshot
        self._prefix = prefix
        self._analysis = filer.analysis
        items, length, strays = snapshot.text_totals(prefix, filer.analysis)
        places: list[tuple[Namespace, str]] = []
        own: list[_Own] = []
        for op in staged_in(layers, prefix):
            places.append((op.namespace, op.key))
            row = op.row(snapshot)
            if row is not None and op.paths != () and (filed := codec.filed_of(op)) is not None:
                own.append(_Own(row, filed))
        self._hidden = set(snapshot.refs(places)) if places else set[int]()
        if strays:
            touched = set(places)
            for row in snapshot.strays(prefix, filer.analysis):
                if (row.namespace, row.key) not in touched and row.value is not None:
                    value = codec.decode(row.namespace, row.key, row.value)
                    own.append(_Own(row, filer.filed(value, row.paths)))
        # Own items have names below zero; a staged one that came first is the newest.
        self._own = {-1 - place: one for place, one in enumerate(own)}
        hidden = snapshot.text_lengths(list(self._hidden), filer.analysis) if self._hidden else {}
        lengths = [one.filed.length for one in own if one.filed.counts]
        self._items = items - len(hidden) + len(lengths)
        self._average = (length - sum(hidden.values()) + sum(lengths)) / max(self._items, 1)

    # -- words -------------------------------------------------------------------------------------------------------

    def units(self, query: TextQuery) -> list[_Unit]:
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
            found.update(term for term in one.filed.counts if term.startswith(start))
        return tuple(sorted(found)[:_COMPLETIONS])

    def _frequency(self, terms: tuple[str, ...]) -> int:
        if len(terms) != 1:
            return len({posting[0] for term in terms for posting in self._postings(term)})
        (term,) = terms
        count = self._now.frequency(self._prefix, self._analysis, term, self._items + len(self._hidden))
        if count and self._hidden:
            count -= len(self._now.postings_in(list(self._hidden), self._analysis, term))
        return count + sum(term in one.filed.counts for one in self._own.values())

    def _postings(self, term: str) -> list[Posting]:
        found = self._now.postings(self._prefix, self._analysis, term)
        if self._hidden:
            found = [posting for posting in found if posting[0] not in self._hidden]
        return found + self._own_postings(term)

    def _own_postings(self, term: str) -> list[Posting]:
        return [
            (name, times, one.filed.length)
            for name, one in self._own.items()
            if (times := one.filed.counts.get(term, 0))
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

    def scores(self, units: Sequence[_Unit], enough: int | None) -> dict[int, float]:
        """The score of each candidate. Summed in the order of the query, so that every backend gets the same number."""
        read = {place: unit.postings for place, unit in enumerate(units) if unit.postings is not None}
        frequent = [place for place, unit in enumerate(units) if unit.postings is None]
        if frequent:
            frequent.sort(key=lambda place: units[place].frequency)
            self._add_frequent(units, frequent, read, enough)
        return self._summed(units, read)

    def _summed(self, units: Sequence[_Unit], read: dict[int, list[Posting]]) -> dict[int, float]:
        scores: dict[int, float] = {}
        # `bm25.score`, written out: a term at a time.
        flat, slope = SATURATION * (1 - LENGTH_WEIGHT), SATURATION * LENGTH_WEIGHT / max(self._average, 1e-9)
        for place in sorted(read):
            weight = units[place].weight
            for name, times, length in read[place]:
                scores[name] = scores.get(name, 0.0) + weight * (times / (times + flat + slope * length))
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

    # -- order -------------------------------------------------------------------------------------------------------

    def in_order(self, scores: dict[int, float], first: int) -> Iterator[tuple[float, ItemRow]]:
        """The candidates' rows, best first; fetched by pages, those that are likely asked for in the first one."""
        page: list[tuple[int, float]] = []
        for one in self._names_in_order(scores, first):
            page.append(one)
            if len(page) >= min(max(first, 1), _PAGE):
                yield from self._rows(page)
                page = []
        yield from self._rows(page)

    def _names_in_order(self, scores: dict[int, float], first: int) -> Iterator[tuple[int, float]]:
        if len(scores) > 4 * first:
            least = nlargest(max(first, 1), scores.values())[-1]
            best = {name: score for name, score in scores.items() if score >= least}
            yield from self._sorted(best)
            scores = {name: score for name, score in scores.items() if score < least}
        yield from self._sorted(scores)

    def _sorted(self, scores: dict[int, float]) -> Iterator[tuple[int, float]]:
        equal: list[int] = []
        last = 0.0
        for name, score in sorted(scores.items(), key=itemgetter(1), reverse=True):
            if score != last and equal:
                yield from [(one, last) for one in self._newest_first(equal)]
                equal = []
            equal.append(name)
            last = score
        yield from [(one, last) for one in self._newest_first(equal)]

    def _newest_first(self, names: list[int]) -> list[int]:
        if len(names) < 2:
            return names
        versions = self._now.versions([name for name in names if name >= 0])

        def newest(name: int) -> tuple[bool, int]:
            own = self._own.get(name)
            if own is None:
                return (False, versions.get(name, 0))
            return (True, name) if own.row.version < 0 else (False, own.row.version)

        return sorted(names, key=newest, reverse=True)

    def _rows(self, page: list[tuple[int, float]]) -> Iterator[tuple[float, ItemRow]]:
        rows = self._now.rows([name for name, _ in page if name >= 0])
        for name, score in page:
            own = self._own.get(name)
            row = rows.get(name) if own is None else own.row
            if row is not None:
                yield score, row
