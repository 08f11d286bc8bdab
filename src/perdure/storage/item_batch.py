"""A batch of a store, checked and made ready before anything is done: reads as functions, writes as operations.

Here: what each op asks, and every refusal. Not here: taking the snapshot, where writes go (`item_store.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

from perdure import clock
from perdure.errors import QueryError
from perdure.storage.contract import Namespace, Snapshot, foretelling
from perdure.storage.counts import counted
from perdure.storage.drafts import Draft, Finish
from perdure.storage.finding import Question, finding
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_rows import item_of
from perdure.storage.lifetimes import micros_of
from perdure.storage.listing import listing, refuse_order
from perdure.storage.namespace_match import check_conditions, matching
from perdure.storage.rank_checks import refuse_unranked
from perdure.storage.ranked import PAGE
from perdure.storage.staging import ANY, Guard, Layer, Operation, read_item, staged
from perdure.store.base import (
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchOp,
    validate_op_namespace,
)
from perdure.store.base.ops import check_labels

__all__ = ["Plan", "counted", "deletion", "guard_of", "operation_of"]


class Plan:
    """A batch: its reads as functions of a snapshot, its writes as operations. Raises if one op cannot be right."""

    __slots__ = ("_places", "_prompt", "finishes", "questions", "reads", "refreshes", "size", "writes")

    def __init__(self, codec: ItemCodec, ops: list[Op]) -> None:
        self.size = len(ops)
        self._places: list[tuple[Namespace, str]] = []  # of what is got
        self.reads: list[tuple[int, Callable[[Snapshot, Sequence[Layer]], Result | Draft]]] = []
        self.finishes: list[tuple[int, Finish]] = []  # what makes an answer of a draft, after the reads
        self.questions: list[Question] = []  # to be embedded before the reads
        self._prompt = False
        self.refreshes: list[int] = []  # places of reads that begin the time of items anew
        last: dict[tuple[Namespace, str], Operation] = {}
        for place, op in enumerate(ops):
            match op:
                case PutOp():
                    operation = operation_of(codec, op, ANY)
                    last.pop(
                        (operation.namespace, operation.key), None
                    )  # so that the order is that of the last puts
                    last[operation.namespace, operation.key] = operation
                case GetOp():
                    self._places.append((check_labels(op.namespace), str(op.key)))
                    self.reads.append((place, _getting(codec, *self._places[-1])))
                    if op.refresh_ttl:
                        self.refreshes.append(place)
                case SearchOp():
                    self._search(codec, op, place)
                    if op.refresh_ttl:
                        self.refreshes.append(place)
                case ListNamespacesOp():
                    self.reads.append((place, _listing(op)))
                case _:
                    raise QueryError(f"{op!r} is no operation of a store.", part=type(op).__name__)
        self.writes = list(last.values())

    @property
    def may_lag(self) -> bool:
        """Whether the reads may be of a moment ago: searches and listings by themselves. What is got is likely to be written anew."""
        return not self.writes and not self._places

    def foretell(self, snapshot: Snapshot, layers: Sequence[Layer]) -> None:
        """Tells the snapshot which items it will be asked for, where there are several and it wants to know."""
        ahead = foretelling(snapshot) if len(self._places) > 1 else None
        if ahead is not None:
            ahead.foretell_items([place for place in self._places if staged(layers, *place) is None])

    def _search(self, codec: ItemCodec, op: SearchOp, place: int) -> None:
        prefix = check_labels(op.namespace_prefix)
        limit, offset = counted("limit", op.limit), counted("offset", op.offset)
        neighbours = counted("neighbours", op.neighbours)
        if not op.query:
            refuse_unranked(op)
            self.reads.append((place, listing(codec, op, prefix, limit, offset, neighbours)))
            self._prompt = not op.filter and op.order_by is None and not neighbours and limit + offset <= PAGE
            return
        refuse_order(op)
        found = finding(codec, op, prefix, limit, offset, neighbours)
        self.reads.append((place, found.read))
        self._prompt = found.prompt
        if found.question is not None:
            self.questions.append(found.question)
        if found.finish is not None:
            self.finishes.append((place, found.finish))

    @property
    def is_prompt(self) -> bool:
        """Whether it is one read which asks little of its snapshot, most likely."""
        return self._prompt and self.size == 1

    def finish(self, results: list[Any]) -> None:
        """Drafts among the results become answers. Calls rerankers, so no snapshot may be open."""
        for place, finish in self.finishes:
            results[place] = finish.blocking(results[place])

    async def afinish(self, results: list[Any]) -> None:
        """As `finish`."""
        for place, finish in self.finishes:
            results[place] = await finish.awaited(results[place])

    def refreshing(self, results: list[Result]) -> Iterator[Item]:
        """The items that were read by operations which begin their time anew; looked for when asked, where items end."""
        for place in self.refreshes:
            answer = results[place]
            for item in cast("list[object]", answer if isinstance(answer, list) else [answer]):
                if isinstance(item, Item) and item.expires_at is not None:
                    yield item


def operation_of(codec: ItemCodec, op: PutOp, guard: Guard) -> Operation:
    """The write that a put asks for. Raises if nobody could do it."""
    validate_op_namespace(op)
    namespace, key = tuple(op.namespace), str(op.key)
    ttl = micros_of(op.ttl)
    paths = _paths(op.index)
    if paths:
        codec.check_paths(paths)
    if op.value is None:
        return Operation(namespace, key, None, clock.micros(), guard)
    value = codec.encode(namespace, key, op.value)
    filed = codec.filed(op.value, paths)
    texts = None if paths == () else codec.to_embed(op.value, paths)
    return Operation(
        namespace, key, value, clock.micros(), guard, paths=paths, filed=filed, texts=texts, ttl=ttl
    )


def _paths(index: object) -> tuple[str, ...] | None:
    """What `index=` says is to be found: (): nothing; None: what the store says."""
    if index is None or index is False:
        return None if index is None else ()
    if isinstance(index, list | tuple) and all(isinstance(path, str) for path in cast("list[object]", index)):
        return tuple(cast("list[str]", index))
    raise QueryError(
        f"index={index!r}: give a list of paths into the value, False for nothing, or None for what the store indexes. "
        "Nothing was written.",
        part="index",
    )


def deletion(namespace: tuple[str, ...], key: str, if_version: int | None) -> Operation:
    """The write that a deletion asks for."""
    return Operation(
        check_labels(namespace), str(key), None, clock.micros(), guard_of(if_version, if_absent=False)
    )


def guard_of(if_version: int | None, if_absent: bool) -> Guard:
    """What must stand for the write to be done; ANY: whatever."""
    if if_version is None:
        return None if if_absent else ANY
    if if_absent:
        raise QueryError("if_version and if_absent=True contradict each other.", part="if_absent")
    if type(if_version) is not int:
        raise QueryError(
            f"if_version={if_version!r}: give an item's `version`, an integer.", part="if_version"
        )
    return if_version


def _getting(
    codec: ItemCodec, namespace: Namespace, key: str
) -> Callable[[Snapshot, Sequence[Layer]], Item | None]:
    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> Item | None:
        row = read_item(snapshot, layers, namespace, key)
        return None if row is None else item_of(codec, row)

    return answer


def _listing(op: ListNamespacesOp) -> Callable[[Snapshot, Sequence[Layer]], list[Namespace]]:
    conditions = check_conditions(op.match_conditions or ())
    limit, offset = counted("limit", op.limit), counted("offset", op.offset)
    depth = None if op.max_depth is None else counted("max_depth", op.max_depth, least=1)

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[Namespace]:
        return matching(snapshot, layers, conditions, depth)[offset : offset + limit]

    return answer
