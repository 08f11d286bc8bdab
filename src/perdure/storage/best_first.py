"""What was scored, best first, among equals the newest first; worked out as far as it is asked for.

Here: three ways to the same order: from a dict, from arrays, from what each can have at most. Not here: scores, rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import nlargest
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from perdure.storage.vectors.arrays import need_numpy

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["best_of_arrays", "best_of_bounds", "best_of_dict"]

NewestFirst: TypeAlias = Callable[[Sequence[int], Sequence[int]], list[int]]
"""The first items in the order of their last writes, the latest first; the others are those that will be asked for, if that is known."""

_SCORE: Final = itemgetter(1)
_LEAST_PAGE: Final = 64
_LARGEST_PAGE: Final = 4096


def best_of_dict(
    scores: dict[int, float], likely: int, newest_first: NewestFirst
) -> Iterator[tuple[int, float]]:
    """(item, score); `likely`: how many will be asked for."""
    if len(scores) > 4 * likely:
        least = nlargest(max(likely, 1), scores.values())[-1]
        best = {name: score for name, score in scores.items() if score >= least}
        yield from _in_order(best.items(), newest_first, likely)
        scores = {name: score for name, score in scores.items() if score < least}
    yield from _in_order(scores.items(), newest_first, likely, last=True)


def best_of_arrays(
    names: NDArray[np.int64],
    rough: NDArray[np.floating[Any]],
    exact: Callable[[NDArray[np.intp]], list[float]],
    near: float,
    likely: int,
    newest_first: NewestFirst,
) -> Iterator[tuple[int, float]]:
    """(item, exact score), from scores that are at most `near` off; `exact` gets places in the arrays and gives the scores there."""
    np = need_numpy()
    size = max(likely, 1)
    places: Any = None  # of what is left; None: all is
    waiting: list[tuple[int, float]] = []
    while len(rough) > size:
        least = float(np.partition(rough, -size)[-size])
        # Rounded to the scores' own precision, but never up.
        number = rough.dtype.type
        taken = rough >= np.nextafter(number(least - 2 * near), number(-np.inf))
        (some,) = taken.nonzero() if places is None else (places[taken],)
        waiting += zip(names[some].tolist(), exact(some), strict=True)
        below = least - near  # whoever was not taken is there, whatever its exact score
        yield from _in_order([one for one in waiting if one[1] > below], newest_first, likely)
        waiting = [one for one in waiting if one[1] <= below]
        left = ~taken
        places, rough = left.nonzero()[0] if places is None else places[left], rough[left]
        size *= 8
    if places is None:
        places = np.arange(len(names))
    waiting += zip(names[places].tolist(), exact(places), strict=True)
    yield from _in_order(waiting, newest_first, likely, last=True)


def best_of_bounds(
    names: Sequence[int],
    most: Sequence[float],
    exact: Callable[[Sequence[int]], dict[int, float]],
    likely: int,
    newest_first: NewestFirst,
) -> Iterator[tuple[int, float]]:
    """(item, exact score), where exact scores cost something: no more are asked for than the answer needs.

    Args:
        names: items, in order of what they can have at most, greatest first.
        most: that, for each; no exact score is greater.
        exact: the scores of some; those that are gone are left out.
        likely: how many will be asked for.
        newest_first: in the order of their last writes, the latest first.

    Method: the threshold algorithm's stop, Fagin, Lotem & Naor, Journal of Computer and System Sciences 66(4), 2003:
    what is worse than all that was looked at can have waits no longer.
    """
    waiting: dict[int, float] = {}
    at, size = 0, max(likely, _LEAST_PAGE)
    while at < len(names):
        waiting.update(exact(names[at : at + size]))
        at += size
        size = min(2 * size, _LARGEST_PAGE)
        if at < len(names):
            sure = {name: score for name, score in waiting.items() if score > most[at]}
            yield from _in_order(list(sure.items()), newest_first, likely)
            waiting = {name: score for name, score in waiting.items() if name not in sure}
    yield from _in_order(list(waiting.items()), newest_first, likely, last=True)


def _in_order(
    scores: Iterable[tuple[int, float]], newest_first: NewestFirst, likely: int, *, last: bool = False
) -> Iterable[tuple[int, float]]:
    """`last`: there are no others."""
    ordered = sorted(scores, key=_SCORE, reverse=True)
    if len({score for _, score in ordered}) == len(ordered):
        return ordered
    return _ties_resolved(ordered, newest_first, likely, last)


def _ties_resolved(
    ordered: list[tuple[int, float]], newest_first: NewestFirst, likely: int, last: bool
) -> Iterator[tuple[int, float]]:
    """As many at a time as are likely to be asked for, and those that equal the worst of them."""
    size = max(likely, 1)
    while ordered:
        end = min(size, len(ordered))
        while end < len(ordered) and ordered[end][1] == ordered[end - 1][1]:
            end += 1
        some, ordered = ordered[:end], ordered[end:]
        size *= 2
        names = [name for name, _ in some]
        tied = [name for _, equal in groupby(some, key=_SCORE) for name, _ in _if_several(list(equal))]
        if tied:
            enough = len(some) >= likely or (last and not ordered)
            places = {name: at for at, name in enumerate(newest_first(tied, names if enough else ()))}
            some.sort(key=lambda one: (-one[1], places.get(one[0], 0)))
        yield from some


def _if_several(equal: list[tuple[int, float]]) -> list[tuple[int, float]]:
    return equal if len(equal) > 1 else []
