"""Good items that are unlike each other: each next one is what is best after a loss for being like one before.

Carbonell & Goldstein, "The Use of MMR, Diversity-Based Reranking", SIGIR 1998: of those that are left, the item with the
greatest (1 - d) * relevance - d * (likeness to the most alike of those taken). Among equals the better placed.

How alike two items are: the cosine of their vectors, where the search asked for meaning and both have any (of several the
closest two), nothing if it is negative; else the terms that both have among those that either has (Jaccard), stop words
left out.
Here: the order, likeness. Not here: relevance (`ranked.py`), which items (`drafts.py`). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from perdure.storage.vectors.arrays import Matrix

__all__ = ["Alike", "spread"]


def spread(
    relevance: Sequence[float], alike: Callable[[int, Sequence[int]], Sequence[float]], diversity: float
) -> Iterator[tuple[int, float]]:
    """The items in their new order, each with its likeness to the most alike of those before it (the first one: 0).

    Worked out as far as it is asked for.

    Args:
        relevance: of each item, from 0 to 1.
        alike: how alike an item is to each of some others, from 0 to 1.
        diversity: how much likeness costs, from 0 to 1.
    """
    closest = dict.fromkeys(range(len(relevance)), 0.0)  # of those that are left, in order
    while closest:
        best = max(closest, key=lambda item: (1 - diversity) * relevance[item] - diversity * closest[item])
        yield best, closest.pop(best)
        left = list(closest)
        for item, likeness in zip(left, alike(best, left) if left else (), strict=True):
            closest[item] = max(closest[item], likeness)


class Alike:
    """How alike some items are. Computed a row at a time, so that every backend gets the same numbers.

    Args:
        vectors: of each item; empty: it has none.
        terms: an item's terms that say something.
    """

    def __init__(self, vectors: Sequence[Sequence[Matrix]], terms: Callable[[int], frozenset[str]]) -> None:
        self._terms_of = terms
        self._terms: dict[int, frozenset[str]] = {}
        self._having = [item for item in range(len(vectors)) if vectors[item]]
        self._place = {item: place for place, item in enumerate(self._having)}
        self._rows: Any = None
        if self._having:
            import numpy

            stacked: Any = numpy.concatenate(
                [numpy.stack([row.astype("f8") for row in vectors[item]]) for item in self._having]
            )
            lengths = numpy.sqrt((stacked * stacked).sum(axis=1))
            lengths[lengths == 0] = 1.0
            self._rows = stacked / lengths[:, None]
            ends = numpy.cumsum([len(vectors[item]) for item in self._having])
            self._starts: list[int] = [0, *ends.tolist()]

    def to(self, item: int, others: Sequence[int]) -> list[float]:
        """Of each of the others."""
        place = self._place.get(item)
        by_meaning = [] if place is None else self._cosines(place)
        found: list[float] = []
        for other in others:
            at = None if place is None else self._place.get(other)
            found.append(self._overlap(item, other) if at is None else max(0.0, by_meaning[at]))
        return found

    def _cosines(self, place: int) -> list[float]:
        """Of each item with vectors: the greatest of any two."""
        import numpy

        own = self._rows[self._starts[place] : self._starts[place + 1]]
        each: Any = numpy.stack([(self._rows * row).sum(axis=1) for row in own]).max(axis=0)
        return numpy.maximum.reduceat(each, self._starts[:-1]).tolist()

    def _overlap(self, one: int, other: int) -> float:
        left, right = self._terms_in(one), self._terms_in(other)
        both = len(left & right)
        return both / (len(left) + len(right) - both) if both else 0.0

    def _terms_in(self, item: int) -> frozenset[str]:
        known = self._terms.get(item)
        if known is None:
            known = self._terms[item] = self._terms_of(item)
        return known
