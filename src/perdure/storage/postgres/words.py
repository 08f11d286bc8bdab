"""Words, asked for together: what a search asks first is one question, and what it asks then is another.

Here: `PostgresWords`, what a snapshot knows because it was told that it will be asked. Not here: what is asked one by one
(`storage/tables/index_answers.py`), who foretells (`storage/text/ranking.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from perdure.codec import bytes_to_text, text_to_bytes
from perdure.storage.contract import ItemRow, Namespace, Posting, TextTotals, WordsAsked
from perdure.storage.postgres.asking import Asked, PostgresAsking
from perdure.storage.postgres.parameters import Bytes
from perdure.storage.tables.asking import bounded
from perdure.storage.tables.index_answers import IndexAnswers
from perdure.storage.tables.item_answers import ItemAnswers
from perdure.storage.tables.rows import prefixed

if TYPE_CHECKING:
    from perdure.storage.postgres.readings import Reading

__all__ = ["PostgresWords"]

_SOME: Final = 500  # postings of a term that come with its frequency: 20 KB
_BY_POSTINGS: Final = 1  # see `words`
_ROWS: Final = 128  # more are not worth fetching before their order is known


class _Word(NamedTuple):
    """What is known of a term in a subtree."""

    postings: list[Posting]  # some, unless there are as many as its frequency
    frequency: int
    rare: bool


class PostgresWords(PostgresAsking, ItemAnswers, IndexAnswers):
    """See the contract, `ForetoldAnswers`."""

    def __init__(self, reading: Reading, where: str, source: object) -> None:
        super().__init__(reading, where, source)
        self._totals: dict[tuple[Namespace, str], TextTotals] = {}
        self._known: dict[tuple[Namespace, str, str], _Word] = {}
        self._within: dict[tuple[str, str], tuple[Sequence[int], list[Posting]]] = {}
        self._fetched: dict[int, ItemRow | None] = {}
        self._numbers: dict[tuple[Namespace, str], int] = {}  # of what was fetched

    def foretell_words(self, prefix: Namespace, asked: WordsAsked) -> None:
        """In one question, and in another where beginnings have to be completed first."""
        inside, index = self._range(prefix), text_to_bytes(asked.analysis)
        for beginning in asked.beginnings:
            self._foresee("terms", (*inside, index, text_to_bytes(beginning), asked.completions))
        if asked.lapsed:
            self._foresee("lapsed", (*inside, bounded(self._now), asked.lapsed))
        if asked.model is not None:
            self._foresee_spaces((*inside, text_to_bytes(asked.model)))
        terms = dict.fromkeys(asked.terms)
        for beginning in asked.beginnings:
            terms.update(dict.fromkeys(self.terms(prefix, asked.analysis, beginning, asked.completions)))
        self._ask_words(prefix, asked, tuple(terms))

    def _foresee_spaces(self, asked: tuple[bytes, bytes, bytes]) -> None:
        self._foresee("vector_spaces", asked)

    def _ask_words(self, prefix: Namespace, asked: WordsAsked, terms: tuple[str, ...]) -> None:
        sought = Bytes(map(text_to_bytes, terms))
        question = [*self._range(prefix), text_to_bytes(asked.analysis), sought, asked.small, _SOME]
        rows = self._ask("words", question)
        postings: list[list[Posting]] = [[] for _ in terms]
        counted: dict[int, tuple[int, int]] = {}
        for row in rows:
            place: int = row[0]
            if place > 0:
                postings[place - 1].append(row[1:4])
            elif place < 0:
                counted[-place - 1] = row[1:3]
            else:
                self._indexes[asked.analysis] = row[1]
                self._totals[prefix, asked.analysis] = TextTotals(*row[2:5])
                self._spaces.setdefault(self._range(prefix), row[5])
        for place, (term, found) in enumerate(zip(terms, postings, strict=True)):
            frequency, way = counted.get(place, (len(found), 0))
            self._known[prefix, asked.analysis, term] = _Word(found, frequency, way == _BY_POSTINGS)

    # -- what is known -----------------------------------------------------------------------------------------------

    def text_totals(self, prefix: Namespace, index: str) -> TextTotals:
        """The statistics of the subtree."""
        known = self._totals.get((prefix, index))
        return super().text_totals(prefix, index) if known is None else known

    def postings(self, prefix: Namespace, index: str, term: str) -> list[Posting]:
        """The live items of the subtree that have the term."""
        known = self._known.get((prefix, index, term))
        if known is None:
            return super().postings(prefix, index, term)
        if len(known.postings) == known.frequency:
            return known.postings
        filed = prefixed(self._index(index), text_to_bytes(term))
        if not prefix:
            return self._ask("postings_of_all", (filed,))
        return self._ask("postings_of_many" if known.rare else "postings", (*self._range(prefix), filed))

    def frequency(self, prefix: Namespace, index: str, term: str, most: int) -> int:
        """How many `postings` would give, counted up to `most`."""
        known = self._known.get((prefix, index, term))
        if known is None:
            return super().frequency(prefix, index, term, most)
        return max(0, min(known.frequency, most))

    def terms(self, prefix: Namespace, index: str, beginning: str, limit: int) -> list[str]:
        """Terms of the subtree that begin so, in order: one question."""
        values = (*self._range(prefix), text_to_bytes(index), text_to_bytes(beginning), limit)
        return [bytes_to_text(term) for (term,) in self._ask("terms", values)]

    # -- items -------------------------------------------------------------------------------------------------------

    def foretell_postings_in(self, refs: Sequence[int], index: str, terms: Sequence[str]) -> None:
        """In one question."""
        number, wanted = self._index(index), dict.fromkeys(refs)
        if number < 0:  # nothing is filed so
            return
        asked: list[Asked] = []
        for term in terms:
            filed = prefixed(number, text_to_bytes(term))
            asked.append(("postings_in", self._columns("postings_in", [(filed, ref) for ref in wanted])))
        for term, rows in zip(terms, self._ask_all(asked) if wanted else (), strict=False):
            self._within[index, term] = refs, rows

    def postings_in(self, refs: Sequence[int], index: str, term: str) -> list[Posting]:
        """As `postings`, of these items only."""
        known = self._within.get((index, term))
        if known is not None and known[0] == refs:
            return known[1]
        return super().postings_in(refs, index, term)

    def foretell_rows(self, refs: Sequence[int]) -> None:
        """In one question, unless they are many."""
        new = [ref for ref in refs if ref not in self._fetched]
        if new and len(refs) <= _ROWS:
            rows = super().rows(new)
            self._fetched.update((ref, rows.get(ref)) for ref in new)

    def rows(self, refs: Sequence[int]) -> dict[int, ItemRow]:
        """The live items."""
        new = [ref for ref in refs if ref not in self._fetched] if self._fetched else refs
        found = super().rows(new) if new else {}
        if self._fetched:
            found.update((ref, row) for ref in refs if (row := self._fetched.get(ref)) is not None)
        self._numbers.update(((row.namespace, row.key), ref) for ref, row in found.items())
        return found

    def numbers(self, places: Sequence[tuple[Namespace, str]]) -> dict[tuple[Namespace, str], int]:
        """The id of each item that lives, or whose deletion is kept: a ref."""
        if all(place in self._numbers for place in places):
            return {place: self._numbers[place] for place in places}
        return super().numbers(places)

    def versions(self, refs: Sequence[int]) -> dict[int, int]:
        """The version of each live item."""
        if not all(ref in self._fetched for ref in refs):
            return super().versions(refs)
        return {ref: row.version for ref in refs if (row := self._fetched[ref]) is not None}
