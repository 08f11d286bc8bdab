"""What may stand in `rank_by=`, and every refusal of what may not: by the part that is wrong.

Here: checks of values. Not here: what a store has to rank by (`finding.py`), what the parts mean (`blending.py`,
`diversity.py`, `reranking.py`).
"""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import Any, Final, cast

from perdure.errors import QueryError
from perdure.storage.counts import counted
from perdure.store.base import Importance, RankBy, Recency, SearchOp
from perdure.store.base.ranking import MODES

__all__ = ["check_ranking", "refuse_unranked"]

_USUAL: Final = RankBy()
_NEEDS_QUERY: Final = ("recency", "importance", "diversity", "rerank")


def check_ranking(given: object) -> RankBy:
    """The ranking, if it can be right; None is the usual one.

    Raises:
        QueryError: `part` names what cannot be: a mode, a weight that is negative or no number, and so on.
    """
    if given is None:
        return _USUAL
    if not isinstance(given, RankBy):
        raise _no("rank_by", given, "give a RankBy(...)")
    if given.mode is not None and given.mode not in MODES:
        raise QueryError(
            f"mode={given.mode!r}: give one of {', '.join(map(repr, MODES))}, or None.", part="mode"
        )
    pair = _numbers(given.weights)
    if pair is None or min(pair) < 0 or not any(pair):
        raise _no(
            "weights",
            given.weights,
            "give two numbers that are not negative and not both 0: for words, and for meaning",
        )
    _check_recency(given.recency)
    _check_importance(given.importance)
    diversity = _number(given.diversity)
    if diversity is None or not 0 <= diversity <= 1:
        raise _no("diversity", given.diversity, "give a number from 0 (none) to 1")
    if given.rerank is not None and not callable(given.rerank):
        raise _no(
            "rerank",
            given.rerank,
            "give a function of a query and a list of items, that gives scores or the items",
        )
    counted("rerank_top", given.rerank_top, least=1)
    return given


def refuse_unranked(op: SearchOp) -> None:
    """Raises QueryError for a ranking that has no query to rank by. `query=""` has no words: it lists."""
    rank_by = op.rank_by
    if op.query is None and isinstance(rank_by, RankBy):
        for name in _NEEDS_QUERY:
            if getattr(rank_by, name):
                raise QueryError(
                    f"rank_by= with {name}, but no query=: without one nothing is ranked. Give a query, or order a listing"
                    " with order_by=.",
                    part=name,
                )


def _check_recency(given: object) -> None:
    if given is None:
        return
    if not isinstance(given, Recency):
        raise _no("recency", given, "give a Recency(half_life=timedelta(...))")
    half_life = cast("object", given.half_life)
    if not isinstance(half_life, timedelta) or half_life <= timedelta(0):
        raise _no("recency", half_life, "half_life is a timedelta above nothing")
    _check_weight("recency", given.weight)


def _check_importance(given: object) -> None:
    if given is None:
        return
    if not isinstance(given, Importance):
        raise _no("importance", given, "give an Importance(field='path.of.a.number')")
    field = cast("object", given.field)
    if not isinstance(field, str) or not field:
        raise _no("importance", field, "field is the path of a number in the value")
    _check_weight("importance", given.weight)
    ends = _numbers(given.range)
    if ends is None or not ends[0] < ends[1] or not isfinite(ends[1] - ends[0]):
        raise _no(
            "importance",
            given.range,
            "range is two numbers, the lesser first: what counts 0, and what counts 1",
        )


def _check_weight(part: str, given: object) -> None:
    number = _number(given)
    if number is None or number < 0:
        raise _no(part, given, "weight is a number, 0 or more")


def _number(given: object) -> float | None:
    """A finite number; None: it is none."""
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        number = float(given)
    except OverflowError:
        return None
    return number if isfinite(number) else None


def _numbers(given: object) -> tuple[float, float] | None:
    """Two finite numbers; None: they are not."""
    if not isinstance(given, tuple | list):
        return None
    found = [_number(one) for one in cast("list[Any]", given)]
    if len(found) != 2 or found[0] is None or found[1] is None:
        return None
    return found[0], found[1]


def _no(part: str, given: object, what: str) -> QueryError:
    return QueryError(f"{part}={given!r:.200}: {what}.", part=part)
