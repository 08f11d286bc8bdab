"""A small index in memory over Perdure's analyser and scores, with every choice open that the product has made."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from heapq import nsmallest
from typing import Literal

from perdure.storage.text.analyser import Analyser, Document, analyser
from perdure.storage.text.bm25 import LEAST, LENGTH_WEIGHT, SATURATION, idf, score
from perdure.storage.text.languages import STOP_WORDS
from perdure.storage.text.values import strings_of


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do otherwise.

    `stop_words`: "documents" is what Perdure does: indexed, and left out of queries that have other words; "nowhere":
    neither indexed nor asked for; "everywhere": there are none; "weightless": as in Perdure, but a document's length
    does not count them.
    """

    name: str
    stop_words: Literal["documents", "nowhere", "everywhere", "weightless"] = "documents"
    stems: bool = True
    k1: float = SATURATION
    b: float = LENGTH_WEIGHT
    least: float = LEAST


class Index:
    """Searches these values. `postings`: rows that a table of them would have. `terms`: different ones."""

    def __init__(self, choice: Choice, values: list[dict[str, str]]) -> None:
        self.choice = choice
        self.analyser = self._analyser()
        stops = {self.analyser.query(word).terms[0] for word in STOP_WORDS["english"]}
        self.left_out = stops if choice.stop_words in {"nowhere", "weightless"} else set[str]()
        self.documents = [self._without(self.analyser.document(strings_of(value))) for value in values]
        self.average = sum(document.length for document in self.documents) / len(self.documents)
        self.holders: dict[str, list[int]] = defaultdict(list)
        for number, document in enumerate(self.documents):
            for term in document.counts:
                self.holders[term].append(number)
        self.terms = len(self.holders)
        self.postings = sum(map(len, self.holders.values()))

    def search(self, query: str, k: int) -> list[int]:
        """The best k that hold at least one term; of equals the older one first."""
        terms = [term for term in self.analyser.query(query).terms if term in self.holders]
        weights = [idf(len(self.documents), len(self.holders[term])) for term in terms]
        found = {number for term in terms for number in self.holders[term]}
        ranked = [(-self._score(terms, weights, self.documents[number]), number) for number in found]
        return [number for _, number in nsmallest(k, ranked)]

    def _score(self, terms: list[str], weights: list[float], document: Document) -> float:
        counts = [document.counts.get(term, 0) for term in terms]
        k1, b, least = self.choice.k1, self.choice.b, self.choice.least
        if (k1, b, least) == (SATURATION, LENGTH_WEIGHT, LEAST):
            return score(weights, counts, document.length, self.average)
        spread = k1 * (1 - b + b * document.length / self.average)
        return sum(
            weight * (count / (count + spread) + least)
            for weight, count in zip(weights, counts, strict=True)
            if count
        )

    def _analyser(self) -> Analyser:
        words = frozenset[str]() if self.choice.stop_words == "everywhere" else STOP_WORDS["english"]
        stem = analyser().stem if self.choice.stems else str
        return Analyser(self.choice.name, stem, words, english=True)

    def _without(self, document: Document) -> Document:
        if not self.left_out:
            return document
        left = {term: count for term, count in document.counts.items() if term not in self.left_out}
        counts = left if self.choice.stop_words == "nowhere" else document.counts
        return Document(counts, sum(left.values()))
