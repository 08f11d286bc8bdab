"""Asking somebody else's store: through the methods that its class wrote, else through its `batch` or `abatch`.

A class that wrote a `put` of its own (to seal, to count, to check) wants it called: what it does there would be passed
by if only its `batch` were. Here: which method answers an operation, in both colours. Not here: staging.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final

from perdure.storage.item_store import ItemStore
from perdure.store.base import BaseStore, GetOp, ListNamespacesOp, Op, PutOp, SearchOp
from perdure.store.base.batch import AsyncBatchedBaseStore

_OURS: Final = (BaseStore, ItemStore, AsyncBatchedBaseStore)


def asked(store: BaseStore, ops: Sequence[Op]) -> list[Any]:
    """The store's answers, in order."""
    calls = [_call(store, "", op) for op in ops]
    if not any(calls):
        return list(store.batch(ops))
    return [store.batch([op])[0] if call is None else call() for call, op in zip(calls, ops, strict=True)]


async def aasked(store: BaseStore, ops: Sequence[Op]) -> list[Any]:
    """As `asked`, awaited."""
    calls = [_call(store, "a", op) for op in ops]
    if not any(calls):
        return list(await store.abatch(ops))
    return [
        (await store.abatch([op]))[0] if call is None else await call()
        for call, op in zip(calls, ops, strict=True)
    ]


def _call(store: BaseStore, colour: str, op: Op) -> Callable[[], Any] | None:
    """The operation as a call of a method that the store's class wrote; None: it wrote none, or it cannot be said so."""
    match op:
        case PutOp(namespace, key, None):
            return _method(store, colour + "delete", namespace, key)
        case PutOp(namespace, key, value, index, ttl):
            more = {} if ttl is None else {"ttl": ttl}
            return _method(store, colour + "put", namespace, key, value, *_given(index), **more)
        case GetOp(namespace, key, refresh):
            return _method(store, colour + "get", namespace, key, **_refreshing(store, refresh))
        case SearchOp(prefix, filter, limit, offset, query, refresh):
            return _method(
                store, colour + "search", prefix, query=query, filter=filter, limit=limit, offset=offset,
                **_refreshing(store, refresh), **_more(op),
            )  # fmt: skip
        case ListNamespacesOp(conditions, depth, limit, offset):
            paths: dict[str, Any] = dict(conditions or ())
            if len(paths) < len(conditions or ()):
                return None  # two prefixes: only a batch says that
            return _method(
                store, colour + "list_namespaces", max_depth=depth, limit=limit, offset=offset, **paths
            )


def _given(index: Any) -> tuple[Any, ...]:
    return () if index is None else (index,)


def _refreshing(store: BaseStore, wanted: bool) -> dict[str, Any]:
    """Said only where it is not what the store does anyway: an older method does not know the argument."""
    config = store.ttl_config
    usual = True if config is None else config.get("refresh_on_read", True)
    return {} if wanted == usual else {"refresh_ttl": wanted}


def _more(op: SearchOp) -> dict[str, Any]:
    """Said only where it was asked for: an older method does not know the arguments."""
    given = {"order_by": op.order_by, "after": op.after, "rank_by": op.rank_by}
    asked = {name: value for name, value in given.items() if value is not None}
    return {**asked, "neighbours": op.neighbours} if op.neighbours else asked


def _method(store: BaseStore, name: str, *args: Any, **options: Any) -> Callable[[], Any] | None:
    return partial(getattr(store, name), *args, **options) if _wrote(type(store), name) else None


@cache
def _wrote(kind: type[BaseStore], name: str) -> bool:
    own = getattr(kind, name)
    return all(own is not getattr(ours, name, None) for ours in _OURS)
