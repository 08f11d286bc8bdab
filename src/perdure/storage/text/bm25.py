"""What a match is worth: BM25. The one place where a text score is computed, so that it is the same on every backend.

Pure arithmetic. Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", Foundations and Trends
in Information Retrieval 3(4), 2009, equation 3.15, without the factor k1 + 1, which changes no order: so a term's
share is always below its idf.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

__all__ = ["LENGTH_WEIGHT", "SATURATION", "idf", "most", "score"]

# Robertson & Zaragoza report that k1 of 1.2 to 2 and b of 0.5 to 0.8 work in many cases; memories are short and say
# a thing once, so repetition counts for less (k1) and length for more (b). Measured in docs/decisions/0010.
SATURATION: Final = 0.9
"""k1: how fast repetition stops to count."""

LENGTH_WEIGHT: Final = 1.0
"""b: how much a long document loses against a short one; 0 is not at all, 1 in proportion."""


def idf(documents: int, frequency: int) -> float:
    """How much a term says. Never negative, even for a term that stands everywhere (Lucene's form).

    Args:
        documents: how many are searched.
        frequency: in how many of them the term stands.
    """
    frequency = min(frequency, documents)
    return math.log(1 + (documents - frequency + 0.5) / (frequency + 0.5))


def score(idfs: Sequence[float], counts: Sequence[int], length: int, average: float) -> float:
    """A document's score: 0 if no term of the query is in it, else below the sum of the idfs.

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
            total += weight * (count / (count + spread))
    return total


def most(idf: float) -> float:
    """What a term of this idf can add to a score: no document reaches more."""
    return idf
