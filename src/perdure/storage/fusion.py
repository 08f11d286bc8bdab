"""Words and meaning in one score: a weighted sum of both, each brought to [0, 1] over the searched subtree.

A text score is divided by the best one (an item without a word of the query has 0). A vector's score goes from the least
alike item of the subtree, 0, to the most alike, 1; an item without vectors has 0. Scores are fused, not ranks: what is
far ahead in one stays ahead. Measured against reciprocal-rank fusion in `docs/decisions`.

Here: the sum. Not here: either score, the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from perdure.storage.vectors.likeness import Likeness

__all__ = ["Fused", "fused"]

_SAME: Final = 1e-6


class Fused:
    """Items with their rough scores, and the way to exact ones."""

    __slots__ = ("_best", "_likeness", "_low", "_spread", "_text", "_weights", "names", "near", "rough")

    def __init__(self, text: dict[int, float], likeness: Likeness, weights: tuple[float, float]) -> None:
        import numpy

        self._text = text
        self._likeness = likeness
        total = sum(weights)
        self._weights = weights[0] / total, weights[1] / total
        self._best = max(text.values(), default=0.0)
        names, alike = likeness.all()
        ends: list[int] = names[[alike.argmin(), alike.argmax()]].tolist() if len(alike) else []
        likeness.look_at(ends)
        self._low, high = map(likeness.exact, ends) if ends else (0.0, 0.0)
        self._spread = high - self._low
        if self._spread <= _SAME * max(1.0, abs(high)):
            self._spread = 0.0  # all are equally alike: what is left is rounding
        rough: Any = numpy.zeros(len(names))
        if self._spread > 0:
            rough = (alike.astype("f8") - self._low) * (self._weights[1] / self._spread)
        self.names, self.rough = self._with_text(names, rough)
        self.near = likeness.near * self._weights[1] / self._spread if self._spread > 0 else 0.0

    def _with_text(self, names: Any, rough: Any) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        import numpy

        if not self._text or not self._best:
            return names, rough
        having = numpy.fromiter(self._text.keys(), numpy.int64, len(self._text))
        shares = numpy.fromiter(self._text.values(), numpy.float64, len(self._text)) * (
            self._weights[0] / self._best
        )
        order = numpy.argsort(names, kind="stable")
        names, rough = names[order], rough[order]
        places = numpy.searchsorted(names, having)
        inside = numpy.minimum(places, max(len(names) - 1, 0))
        there = (
            (places < len(names)) & (names[inside] == having)
            if len(names)
            else numpy.zeros(len(having), bool)
        )
        rough[places[there]] += shares[there]
        return numpy.concatenate((names, having[~there])), numpy.concatenate((rough, shares[~there]))

    def most(self) -> tuple[Sequence[int], Sequence[float]]:
        """Items, and what each can have at most; the greatest first."""
        import numpy

        most = self.rough + self.near
        order: Any = numpy.argsort(-most, kind="stable")
        return self.names[order].tolist(), most[order].tolist()

    def shares(self, name: int) -> tuple[float, float]:
        """What words and meaning give to the item's score."""
        text = self._text.get(name, 0.0) / self._best * self._weights[0] if self._best else 0.0
        alike = self._likeness.exact_or_none(name)
        if alike is None or self._spread <= 0:
            return text, 0.0
        return text, (alike - self._low) / self._spread * self._weights[1]

    def exact_at(self, places: NDArray[np.intp]) -> list[float]:
        """The scores of the items at these places of `names`."""
        names: list[int] = self.names[places].tolist()
        self._likeness.look_at(names)
        return [sum(self.shares(name)) for name in names]


def fused(text: dict[int, float], likeness: Likeness, weights: tuple[float, float]) -> Fused:
    """Both scores in one; `weights` of words and of meaning, whatever their sum."""
    return Fused(text, likeness, weights)
