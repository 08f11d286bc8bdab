"""Staged writes laid over a store that knows nothing of them: somebody else's, whose data we can only ask for.

Here: puts as staged operations and back, and what a task reads: the store's own answers with the task's writes laid over
them. Pure: whoever drives `laid_over` asks the store, blocking or awaited.
Not here: who stages and who asks (`engine`), our own stores, which are read with their layers (`staging.py`).

Exact for `get`, for `search` without a query, and for `list_namespaces` of up to a million names. A search by words or
meaning is the store's own answer, without what is staged: only the store knows how it ranks. A filter is the store's
own, too, and its staged side is decided by ours (`filters.py`): an operator that only the store knows is refused there.
An order, a cursor, or neighbours are the store's own and go only with nothing staged below the prefix.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, cast

from perdure import clock
from perdure.storage.contract import Namespace
from perdure.storage.filters import compile_filter
from perdure.storage.item_codec import ItemCodec
from perdure.storage.namespace_match import check_conditions, meets
from perdure.storage.staging import STAGED_VERSION, Layer, Operation, staged
from perdure.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    NotSupported,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)
from perdure.store.base.ops import validate_op_namespace

__all__ = ["Asking", "laid_over", "put_of", "staged_put"]

Asking: TypeAlias = Generator[list[Op], list[Result], list[Result]]
"""Yields operations that the store is to answer, is sent the answers, returns the results."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ALL: Final = 1_000_000  # namespaces asked for where staged ones have to be sorted in
_LOOK: Final = 1000  # items looked at, to see whether a namespace still holds one
_WITH_OPTIONS: Final = b"\x02"  # no JSON text begins with it
_codec = ItemCodec()


# ---- puts


def staged_put(op: PutOp) -> Operation:
    """The put as a staged operation; its index and time to live stand in front of the value.

    Raises:
        EncodingError: the value cannot be kept in a record; `path` leads to the part.
        InvalidNamespaceError: no item can be filed there.
    """
    validate_op_namespace(op)
    namespace, key = tuple(op.namespace), str(op.key)
    value = None if op.value is None else _codec.encode(namespace, key, op.value)
    if value is not None and (op.index is not None or op.ttl is not None):
        options = json.dumps([op.index, op.ttl]).encode()
        value = b"".join((_WITH_OPTIONS, len(options).to_bytes(4, "big"), options, value))
    return Operation(namespace, key, value, clock.micros())


def put_of(operation: Operation) -> PutOp:
    """The put that was staged."""
    index, ttl, value = _taken_apart(operation)
    return PutOp(operation.namespace, operation.key, value, index, ttl)


def _taken_apart(
    operation: Operation,
) -> tuple[Literal[False] | list[str] | None, float | None, dict[str, Any] | None]:
    stored, index, ttl = operation.value, None, None
    if stored is None:
        return index, ttl, None
    if stored.startswith(_WITH_OPTIONS):
        end = 5 + int.from_bytes(stored[1:5], "big")
        index, ttl = json.loads(stored[5:end])
        stored = stored[end:]
    return index, ttl, _codec.decode(operation.namespace, operation.key, stored)


# ---- reads


def laid_over(ops: Sequence[Op], layers: Sequence[Layer]) -> Asking:
    """The results of reads as the task sees them. Raises QueryError for a filter or condition that cannot be right."""
    plans = [_plan(op, layers) for op in ops]
    wide: list[Op] = [op if plan is None else plan for op, plan in zip(ops, plans, strict=True)]
    answers = (yield wide) if wide else []
    results: list[Result] = []
    for op, plan, answer in zip(ops, plans, answers, strict=True):
        match op:
            case GetOp():
                results.append(_got(op, layers, cast("Item | None", answer)))
            case SearchOp() if plan is not None:
                results.append(_searched(op, layers, cast("list[SearchItem]", answer)))
            case ListNamespacesOp() if plan is not None:
                results.append((yield from _listed(op, layers, cast("list[Namespace]", answer))))
            case _:
                results.append(answer)
    return results


def _plan(op: Op, layers: Sequence[Layer]) -> Op | None:
    """The wider question that is asked of the store; None: nothing staged concerns it, the question is asked as it is."""
    match op:
        case SearchOp():
            if op.query and not op.neighbours:
                return None
            hidden = len(_touched(layers, tuple(op.namespace_prefix)))
            if hidden and (op.order_by is not None or op.after is not None or op.neighbours):
                raise NotSupported(
                    "order_by=, after= and neighbours=: this task wrote below the prefix, and where the staged items stand among"
                    " those of a store of somebody else's class is not known. Leave them out, or search before writing."
                )
            return op._replace(limit=op.offset + op.limit + hidden, offset=0) if hidden else None
        case ListNamespacesOp():
            conditions = check_conditions(op.match_conditions or ())
            for namespace, _ in _touched(layers, ()):
                if all(meets(namespace, condition) for condition in conditions):
                    return op._replace(max_depth=None, limit=_ALL, offset=0)
            return None
        case _:
            return None


def _touched(layers: Sequence[Layer], prefix: Namespace) -> dict[tuple[Namespace, str], Operation]:
    """The last word on every item of the subtree that somebody staged, newest first."""
    found: dict[tuple[Namespace, str], Operation] = {}
    for layer in reversed(layers):
        for where, operation in reversed(list(layer.index.items())):
            if where[0][: len(prefix)] == prefix:
                found.setdefault(where, operation)
    return found


def _got(op: GetOp, layers: Sequence[Layer], answer: Item | None) -> Item | None:
    operation = staged(layers, tuple(op.namespace), str(op.key))
    if operation is None:
        return answer
    value = _taken_apart(operation)[2]
    if value is None:
        return None
    created, updated = _times(operation, answer)
    return Item(
        value=value, key=operation.key, namespace=operation.namespace, created_at=created, updated_at=updated,
        version=STAGED_VERSION,
    )  # fmt: skip


def _searched(op: SearchOp, layers: Sequence[Layer], answer: list[SearchItem]) -> list[SearchItem]:
    fits = compile_filter(op.filter) if op.filter else None
    touched = _touched(layers, tuple(op.namespace_prefix))
    before = {(tuple(item.namespace), item.key): item for item in answer}
    found: list[SearchItem] = []
    for where, operation in touched.items():
        value = _taken_apart(operation)[2]
        if value is not None and (fits is None or fits(value)):
            created, updated = _times(operation, before.get(where))
            found.append(SearchItem(*where, value, created, updated, version=STAGED_VERSION))
    found += [item for where, item in before.items() if where not in touched]
    return found[op.offset : op.offset + op.limit]


def _listed(
    op: ListNamespacesOp, layers: Sequence[Layer], answer: list[Namespace]
) -> Generator[list[Op], list[Result], list[Namespace]]:
    conditions = check_conditions(op.match_conditions or ())
    touched = _touched(layers, ())
    found = {tuple(namespace) for namespace in answer}
    live = {namespace for (namespace, _), operation in touched.items() if operation.value is not None}
    found |= {namespace for namespace in live if all(meets(namespace, one) for one in conditions)}
    doubtful = sorted(({namespace for namespace, _ in touched} - live) & found)
    if doubtful:
        looks: list[Op] = [SearchOp(namespace, limit=_LOOK, refresh_ttl=False) for namespace in doubtful]
        for namespace, items in zip(doubtful, (yield looks), strict=True):
            left = cast("list[SearchItem]", items)
            places = [(tuple(item.namespace), item.key) for item in left]
            if len(left) < _LOOK and all(place[0] != namespace or place in touched for place in places):
                found.discard(namespace)
    if op.max_depth is not None:
        found = {namespace[: op.max_depth] for namespace in found}
    return sorted(found)[op.offset : op.offset + op.limit]


def _times(operation: Operation, before: Item | None) -> tuple[datetime, datetime]:
    """When the item was created, and when it was written."""
    updated = _EPOCH + timedelta(microseconds=operation.at)
    if operation.created_at is not None:
        return _EPOCH + timedelta(microseconds=operation.created_at), updated
    if before is None:
        began = operation.began or operation.at
        return _EPOCH + timedelta(microseconds=began), updated
    return before.created_at, max(updated, before.created_at)
