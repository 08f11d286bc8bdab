"""One score of several: how well an item fits the query, how new it is, how much it matters. A weighted sum, 0 to 1.

How well it fits counts 1, brought to [0, 1] over the searched subtree as in `fusion.py`; recency and importance count
their weights, and the sum is divided by all weights. Recency is a half with each half-life since the item was written;
importance is a number of the value. Both are the item's own: what else is stored changes neither.

Exact: an item's time is fetched, and its value decoded, only while it could still be among the best, by what recency and
importance can add at most.
Here: the sum, its bounds. Not here: the scores that come in, the order (`best_first.py`), refusals (`rank_checks.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from operator import itemgetter
from typing import Any, Final, NamedTuple, Protocol

from perdure.storage.best_first import best_of_bounds
from perdure.storage.filter_paths import Path
from perdure.storage.item_codec import ItemCodec
from perdure.storage.overlay import Overlay
from perdure.store.base import Importance, RankBy, Recency

__all__ = ["Blend", "Fitting", "OfText"]

_ROUNDING: Final = 1e-9  # a sum of shares may be so much greater than the bound that was summed otherwise
_MICRO: Final = timedelta(microseconds=1)


class Fitting(Protocol):
    """How well items fit the query, from 0 to 1."""

    def most(self) -> tuple[Sequence[int], Sequence[float]]:
        """Items, and what each can have at most; the greatest first."""
        ...

    def shares(self, name: int) -> tuple[float, float]:
        """What the item has: by words, and by meaning."""
        ...


class OfText:
    """Items that have a word of the query, each by its part of the best score."""

    __slots__ = ("_best", "_scores")

    def __init__(self, scores: dict[int, float]) -> None:
        """With their scores."""
        self._scores = scores
        self._best = max(scores.values(), default=0.0)

    def most(self) -> tuple[Sequence[int], Sequence[float]]:
        """All of them; what they have."""
        order = sorted(self._scores.items(), key=itemgetter(1), reverse=True)
        return [name for name, _ in order], [score / self._best for _, score in order]

    def shares(self, name: int) -> tuple[float, float]:
        """What the item has by words."""
        return self._scores[name] / self._best, 0.0


class _Facts(NamedTuple):
    """What an item has of its own, from 0 to 1."""

    recency: float
    importance: float


class Blend:
    """Items that fit a query, with what else counts.

    Args:
        view: the subtree; its time is the time that recency is measured to.
        codec: decodes values.
        rank_by: a ranking with recency, or importance, or both.
        fitting: how well items fit.
    """

    def __init__(self, view: Overlay, codec: ItemCodec, rank_by: RankBy, fitting: Fitting) -> None:
        self._view = view
        self._codec = codec
        self._fitting = fitting
        self._recency = None if rank_by.recency is None else _Ageing(rank_by.recency, view.now.now())
        self._importance = None if rank_by.importance is None else _Weighing(rank_by.importance)
        weights = [part.weight for part in (rank_by.recency, rank_by.importance) if part is not None]
        self._others = float(sum(weights))
        self._total = 1.0 + self._others
        self._facts: dict[int, _Facts] = {}

    def best(self, likely: int) -> Iterator[tuple[int, float]]:
        """(item, score), best first, among equals the newest first; `likely`: how many will be asked for."""
        names, fits = self._fitting.most()
        most = [(fit + self._others) / self._total + _ROUNDING for fit in fits]
        return best_of_bounds(names, most, self._exact, likely, self._view.newest_first)

    def shares(self, name: int) -> dict[str, float]:
        """What each part gives to the score of an item that `best` gave; their sum, in this order, is the score."""
        text, vector = self._fitting.shares(name)
        parts = {"text_share": text / self._total, "vector_share": vector / self._total}
        if self._recency is not None:
            parts["recency_share"] = self._facts[name].recency * self._recency.weight / self._total
        if self._importance is not None:
            parts["importance_share"] = self._facts[name].importance * self._importance.weight / self._total
        return parts

    def facts(self, name: int) -> dict[str, float]:
        """Recency and importance of an item that `best` gave, as far as they count."""
        own = self._facts[name]
        found = {"recency": own.recency} if self._recency is not None else {}
        return {**found, "importance": own.importance} if self._importance is not None else found

    def _exact(self, names: Sequence[int]) -> dict[int, float]:
        new = self._facts_of(names)
        self._facts.update(new)
        return {name: _summed(self.shares(name)) for name in new}

    def _facts_of(self, names: Sequence[int]) -> dict[int, _Facts]:
        """Of those that live."""
        recency = self._recency
        if self._importance is None:
            times = self._view.times(names)
            return {name: _Facts(recency.of(at) if recency else 0.0, 0.0) for name, at in times.items()}
        found: dict[int, _Facts] = {}
        for name, row in self._view.rows(names).items():
            value = self._codec.decode(row.namespace, row.key, row.value or b"")
            new = recency.of(row.updated_at) if recency else 0.0
            found[name] = _Facts(new, self._importance.of(value))
        return found


def _summed(parts: dict[str, float]) -> float:
    total = 0.0  # not `sum`: from Python 3.12 on it rounds otherwise
    for part in parts.values():
        total += part
    return total


class _Ageing:
    """How new an item is, at one time."""

    __slots__ = ("_half_life", "_now", "weight")

    def __init__(self, recency: Recency, now: int) -> None:
        self._half_life = recency.half_life // _MICRO
        self._now = now
        self.weight = float(recency.weight)

    def of(self, updated_at: int) -> float:
        """1 for what is written now, or, by another clock, later; half of it after each half-life."""
        return 0.5 ** (max(0, self._now - updated_at) / self._half_life)


class _Weighing:
    """How much an item matters by its value."""

    __slots__ = ("_high", "_low", "_path", "weight")

    def __init__(self, importance: Importance) -> None:
        self._path = Path(importance.field)
        self._low, self._high = map(float, importance.range)
        self.weight = float(importance.weight)

    def of(self, value: dict[str, Any]) -> float:
        """The greatest of the numbers that the path finds, brought to [0, 1]; 0 if it finds none."""
        found = self._path.all(value)
        return max((self._scaled(one) for one in found if _is_number(one)), default=0.0)

    def _scaled(self, number: Any) -> float:
        if not number > self._low:  # NaN, too, which a reader of one's own may give
            return 0.0
        return 1.0 if number >= self._high else (number - self._low) / (self._high - self._low)


def _is_number(given: object) -> bool:
    return isinstance(given, int | float) and not isinstance(given, bool)
