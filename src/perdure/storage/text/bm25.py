"""What a match is worth: BM25. The one place where a text score is computed, so that it is the same on every backend.

Pure arithmetic. A term of the query that a document holds is worth

    idf * (count / (count + k1 * (1 - b + b * length / average)) + least)

Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends in Information
Retrieval 3(4), 2009, equation 3.15, without the customary factor k1 + 1, which changes no order; `least` is from Lv &
Zhai, "Lower-Bounding Term Frequency Normalization", CIKM 2011. Why these numbers: docs/decisions/0010.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["LEAST", "LENGTH_WEIGHT", "SATURATION", "idf", "most", "score"]

SATURATION: Final = 0.9
"""k1: the less, the sooner repetition stops to count. Memories are short and say a thing once."""

LENGTH_WEIGHT: Final = 1.0
"""b: how much of its length a document has to answer for; 1 is all of it."""

LEAST: Final = 1 / (SATURATION + 1)
"""What holding a term is worth at any length, or speeches of two words would beat any that answers the question. The
paper's recommended 1, on its scale, which has the factor k1 + 1; 0 is BM25 as of 2009."""


def idf(documents: int, frequency: int) -> float:
    """How much a term says. Never negative, even for a term that stands everywhere (Lucene's form).

    Args:
        documents: how many are searched.
        frequency: in how many of them the term stands.
    """
    frequency = min(frequency, documents)
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))


def score(idfs: Sequence[float], counts: Sequence[int], length: int, average: float) -> float:
    """A document's score: 0 if no term of the query is in it, never more than `most` of each that is.

    Args:
        idfs: of the query's terms, in the query's order. The sum is made in this order, so equal arguments give the
            very same float everywhere. A prefix is one term: its count is the sum, its frequency that of any.
        counts: how often each term stands in the document; 0 if it doesn't.
        length: the document's, in terms.
        average: of the lengths of all documents searched.
    """
    spread = SATURATION * (1 - LENGTH_WEIGHT + LENGTH_WEIGHT * length / average) if average > 0 else 0.0
    total = 0.0
    for weight, count in zip(idfs, counts, strict=True):
        if count:
            total += weight * (count / (count + spread) + LEAST)
    return total


def most(idf: float) -> float:
    """What a term of this idf can add to a score: no document gets more for it."""
    return idf * (1 + LEAST)
