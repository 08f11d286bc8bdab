"""How a search with a query ranks, as values: by what, with which weights, and what is done with the best.

Here: `RankBy` and its parts. Not here: what may stand in them (`storage/rank_checks.py`), scores (`storage/blending.py`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from perdure.store.base.items import SearchItem

__all__ = ["MODES", "Importance", "RankBy", "Recency", "Rerank", "Reranked"]

MODES: Final = ("text", "vector", "hybrid")

Reranked: TypeAlias = "Sequence[float] | Sequence[SearchItem]"
Rerank: TypeAlias = "Callable[[str, list[SearchItem]], Reranked | Awaitable[Reranked]]"
"""From a query and items, best first, to a score for each (greater is better), or to the same items in a better order.

A plain function or an async one. Nothing of the database is held while it works.
"""


@dataclass(frozen=True, slots=True)
class Recency:
    """What was written lately counts more: 1 for what is written now, half of it after each `half_life`.

    Attributes:
        half_life: above nothing. Measured from an item's `updated_at` to the time of the search, by the store's clock.
        weight: how much it counts where words and meaning together count 1; 0 or more.
    """

    half_life: timedelta
    weight: float = 0.2


@dataclass(frozen=True, slots=True)
class Importance:
    """A number in the value says how much an item matters.

    Attributes:
        field: path of the number, as filters have it; of several (`"[*]"`) the greatest counts. What is missing or no
            number counts 0.
        weight: how much it counts where words and meaning together count 1; 0 or more.
        range: the number that counts 0 and the one that counts 1; in between evenly, outside like the nearer one. Fixed
            by the caller, so that an item's importance does not change with what else is stored.
    """

    field: str
    weight: float = 0.2
    range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class RankBy:
    """How a search with a query ranks.

    Attributes:
        mode: by words (`"text"`), by meaning (`"vector"`), by both (`"hybrid"`); None: by what the store has.
        weights: of words and of meaning, in `"hybrid"`.
        explain: whether each item tells where its score came from.
        recency: whether what was written lately counts more.
        importance: whether a number in the value counts.
        diversity: how much items lose for being like better ones, from 0 (nothing) to 1; among the best 100, or the best
            `rerank_top` where there is a `rerank`.
        rerank: a second judge of the best `rerank_top` items.
        rerank_top: how many it is given, from 1; items behind them keep their order.
    """

    mode: Literal["text", "vector", "hybrid"] | None = None
    weights: tuple[float, float] = (0.5, 0.5)
    explain: bool = False
    recency: Recency | None = None
    importance: Importance | None = None
    diversity: float = 0.0
    rerank: Rerank | None = None
    rerank_top: int = 50
