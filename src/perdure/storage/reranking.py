"""A second judge of the best items: the user's function is called, and what it answers is looked at.

It is called when the snapshot is over, so it may take its time, and may use the store itself. An async function is awaited;
a plain one is called on a thread of its own where an event loop would have to wait for it. What it raises reaches the caller
as it is, with a note.
Here: the call in both colours, checks, scopes. Not here: what is judged, and what follows (`drafts.py`).
"""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from typing import Any, NamedTuple, SupportsFloat, TypeVar, cast

from perdure.errors import QueryError
from perdure.storage.contract import Namespace
from perdure.store.base import RankBy, Rerank, SearchItem

__all__ = ["Verdict", "ajudged", "inside_scope", "judged"]

T = TypeVar("T")


class Verdict(NamedTuple):
    """Places of the given items, best first; `scores`: what each place was given, None where it was an order alone."""

    order: list[int]
    scores: list[float] | None


def judged(rerank: Rerank, query: str, items: list[SearchItem]) -> Verdict:
    """What the function says of these items.

    Raises:
        QueryError: its answer is not one score for each item, nor the same items; or it is async and a loop runs here.
    """
    with _Noting():
        answer: object = rerank(query, list(items))
        if inspect.isawaitable(answer):
            answer = _run(answer)
    return _verdict(answer, items)


async def ajudged(rerank: Rerank, query: str, items: list[SearchItem]) -> Verdict:
    """As `judged`."""
    with _Noting():
        if _is_async(rerank):
            answer: object = rerank(query, list(items))
        else:
            answer = await asyncio.to_thread(rerank, query, list(items))
        if inspect.isawaitable(answer):
            answer = await answer
    return _verdict(answer, items)


def _is_async(func: object) -> bool:
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(func, "__call__", None))  # noqa: B004 - not whether, but how it is called


def _run(answer: Any) -> object:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(answer))
    if inspect.iscoroutine(answer):
        answer.close()
    raise QueryError(
        "rerank= is async, and search(...) was called where an event loop runs, which it would block for ever. Nothing was"
        " ranked. Write `await store.asearch(...)`.",
        part="rerank",
    )


async def _awaited(answer: Any) -> object:
    return await answer


class _Noting:
    """What is raised in this block says where."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, QueryError):
            error.add_note("raised by the reranker (rerank=) of a search, which found nothing by it")


# ---- what it answers


def _verdict(answer: object, items: Sequence[SearchItem]) -> Verdict:
    try:
        given = list(cast("Any", answer)) if not isinstance(answer, str | bytes | dict) else None
    except TypeError:
        given = None
    if given is None:
        raise _no(f"it gave {_short(cast('object', answer))}")
    if len(given) != len(items):
        raise _no(f"it gave {len(given)} for {len(items)} items")
    if any(isinstance(one, SearchItem) for one in given):
        return Verdict(_order(given, items), None)
    scores = [_score(one) for one in given]
    return Verdict(sorted(range(len(scores)), key=scores.__getitem__, reverse=True), scores)


def _order(given: Sequence[object], items: Sequence[SearchItem]) -> list[int]:
    places = {(item.namespace, item.key): place for place, item in enumerate(items)}
    order: list[int] = []
    for one in given:
        if not isinstance(one, SearchItem):
            raise _no(f"among items it gave {_short(one)}")
        place = places.pop((one.namespace, one.key), None)
        if place is None:
            raise _no(f"it gave {one.key!r} in {one.namespace!r}, which it was not given, or gave it twice")
        order.append(place)
    return order


def _score(given: object) -> float:
    if isinstance(given, bool | str | bytes) or not isinstance(given, SupportsFloat):
        raise _no(f"as a score it gave {_short(given)}")
    try:
        score = float(given)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no(f"as a score it gave {_short(given)}") from error
    if not isfinite(score):
        raise _no(f"as a score it gave {score}")
    return score


def _short(given: object) -> str:
    return f"{given!r:.80}, a {type(given).__name__}"


def _no(what: str) -> QueryError:
    return QueryError(
        f"rerank=: {what}. A reranker gives a finite number for each item, in their order, or the same items in a better one.",
        part="rerank",
    )


# ---- scopes


def inside_scope(rank_by: RankBy | None, prefix: Namespace) -> RankBy | None:
    """The same ranking, whose reranker sees items without the prefix, as everything in a scope does."""
    if not isinstance(rank_by, RankBy) or not callable(rank_by.rerank):
        return rank_by  # refused where it is looked at, if it cannot be right
    return replace(rank_by, rerank=_Inside(rank_by.rerank, prefix))


class _Inside:
    def __init__(self, rerank: Rerank, prefix: Namespace) -> None:
        self._rerank = rerank
        self._prefix = prefix

    def __repr__(self) -> str:
        return repr(self._rerank)

    def __call__(self, query: str, items: list[SearchItem]) -> Any:
        shown = [_moved(item, item.namespace[len(self._prefix) :]) for item in items]
        answer: Any = self._rerank(query, shown)
        return self._later(answer) if inspect.isawaitable(answer) else self._back(answer)

    async def _later(self, answer: Any) -> Any:
        return self._back(await answer)

    def _back(self, answer: Any) -> Any:
        if isinstance(answer, str | bytes | dict):
            return cast("object", answer)
        try:
            given = list(answer)
        except TypeError:
            return answer
        return [
            _moved(one, (*self._prefix, *one.namespace)) if isinstance(one, SearchItem) else one
            for one in given
        ]


def _moved(item: SearchItem, namespace: Namespace) -> SearchItem:
    moved = copy.copy(item)
    moved.namespace = namespace
    return moved
