"""Calls of one tick of an event loop as one `abatch`: for stores where a round trip is what costs.

Here: collecting, merging equal reads, handing out results. There is no task that waits for work and could die: the
first call of a tick schedules the sending, and what is sent lives as long as its answer takes.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, cast
from weakref import WeakKeyDictionary

from perdure.store.base.interface import BaseStore
from perdure.store.base.items import Item, SearchItem
from perdure.store.base.ops import (
    NOT_PROVIDED,
    NamespacePath,
    NotProvided,
    Op,
    PutOp,
    Result,
    SearchOp,
    check_labels,
)
from perdure.store.base.ranking import RankBy

__all__ = ["AsyncBatchedBaseStore"]


class _Call(NamedTuple):
    op: Op
    answer: asyncio.Future[Result]


_Waiting = dict[asyncio.AbstractEventLoop, list[_Call]]


class AsyncBatchedBaseStore(BaseStore):
    """A store whose `a...` calls of one tick go out together, as one `abatch`.

    Equal reads are sent once and give equal results, each caller a copy of its own. Of several puts to one place only
    the last is sent. A cancelled caller affects nobody else; one whose call has not gone out yet withdraws it. When a
    batch fails, its operations are tried one by one, so that a bad one does not fail its neighbours.

    A subclass writes `batch` and `abatch`.
    """

    async def aget(
        self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None
    ) -> Item | None:
        """As `get`."""
        return cast("Item | None", await self._ask(self._get_op(namespace, key, refresh_ttl)))

    async def asearch(
        self,
        namespace_prefix: tuple[str, ...],
        /,
        *,
        query: str | None = None,
        filter: dict[str, Any] | None = None,
        limit: int = 10,
        offset: int = 0,
        refresh_ttl: bool | None = None,
        order_by: str | None = None,
        after: str | None = None,
        rank_by: RankBy | None = None,
        neighbours: int = 0,
    ) -> list[SearchItem]:
        """As `search`."""
        op = self._search_op(
            namespace_prefix, query, filter, limit, offset, refresh_ttl, order_by, after, rank_by, neighbours
        )
        return cast("list[SearchItem]", await self._ask(op))

    async def aput(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None = None,
        *,
        ttl: float | NotProvided | None = NOT_PROVIDED,
        if_version: int | None = None,
        if_absent: bool = False,
    ) -> None:
        """As `put`."""
        self._refuse_conditions(if_version, if_absent=if_absent)
        await self._ask(self._put_op(namespace, key, value, index, ttl))

    async def adelete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """As `delete`."""
        self._refuse_conditions(if_version)
        await self._ask(PutOp(check_labels(namespace), str(key), None))

    async def alist_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """As `list_namespaces`."""
        return cast(
            "list[tuple[str, ...]]", await self._ask(self._list_op(prefix, suffix, max_depth, limit, offset))
        )

    async def _ask(self, op: Op) -> Result:
        loop = asyncio.get_running_loop()
        calls = _calls_of(self)
        waiting = calls.get(loop)
        if waiting is None:
            calls[loop] = waiting = []
            loop.call_soon(self._send_soon, loop)
        call = _Call(op, loop.create_future())
        waiting.append(call)
        return await call.answer

    def _send_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        calls = [call for call in _calls_of(self).pop(loop) if not call.answer.done()]
        if calls:
            task = loop.create_task(self._send(calls))
            _sending.add(task)  # the loop itself keeps no strong reference
            task.add_done_callback(_sending.discard)

    async def _send(self, calls: list[_Call]) -> None:
        groups = _merged(calls)
        try:
            results = await self.abatch([group[-1].op for group in groups])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            if len(groups) > 1:
                for group in groups:
                    await self._send(group)
            else:
                for call in calls:
                    if not call.answer.done():
                        call.answer.set_exception(error)
        except BaseException:
            for call in calls:  # the loop is going down: nobody is left waiting
                call.answer.cancel()
            raise
        else:
            for group, result in zip(groups, results, strict=True):
                _hand_out(group, result)


# Beside the objects, not in them: a subclass may not call our `__init__`.
_waiting: WeakKeyDictionary[AsyncBatchedBaseStore, _Waiting] = WeakKeyDictionary()
_sending: set[asyncio.Task[None]] = set()


def _calls_of(store: AsyncBatchedBaseStore) -> _Waiting:
    return _waiting.setdefault(store, {})


def _merged(calls: list[_Call]) -> list[list[_Call]]:
    """Calls that one operation answers, the last of each group being that operation; groups by their last call."""
    groups: dict[object, list[_Call]] = {}
    for call in calls:
        op = call.op
        # By text, because 1 == True == 1.0 and a filter tells them apart; two rerankers may have one text.
        judge = op.rank_by.rerank if isinstance(op, SearchOp) and op.rank_by is not None else None
        same = ("put", op.namespace, op.key) if isinstance(op, PutOp) else (repr(op), id(judge))
        group = groups.pop(same, [])
        group.append(call)
        groups[same] = group
    return list(groups.values())


def _hand_out(group: list[_Call], result: Result) -> None:
    for place, call in enumerate(group):
        if not call.answer.done():
            call.answer.set_result(result if place == 0 else copy.deepcopy(result))
