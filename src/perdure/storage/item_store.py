"""A store over items of a backend: every method of the interface, over three hooks.

Here: `ItemStore`, what all of Perdure's stores have in common: checking, encoding, reading through layers, versions.
Not here: where writes go. A plain store commits them (`store/face.py`), one bound to a task stages them (`engine`).
Imports the interface (`store/base`), `contract`, `staging`, `filters`, `item_codec`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, Final, Literal, TypeVar

from perdure import clock
from perdure.errors import QueryError
from perdure.storage.aside import aside
from perdure.storage.contract import Backend, ItemRow, Namespace, Snapshot
from perdure.storage.filters import compile_filter
from perdure.storage.item_codec import ItemCodec
from perdure.storage.namespace_match import check_conditions, matching
from perdure.storage.staging import ANY, Guard, Layer, Operation, read_item, read_items
from perdure.store.base import (
    NOT_PROVIDED,
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    NotProvided,
    NotSupported,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
    validate_op_namespace,
)
from perdure.store.base.interface import Change
from perdure.store.base.ops import check_labels, check_namespace

__all__ = ["Change", "FaceHandle", "ItemStore"]

T = TypeVar("T")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PAGE: Final = 500  # rows fetched at once where a filter may drop any of them


@dataclass(frozen=True, slots=True)
class FaceHandle:
    """What the engine needs of a store or saver that is ours, so as to commit for it."""

    backend: Backend
    codec: ItemCodec


class ItemStore(BaseStore):
    """A store over a backend's items. Safe from any thread and any event loop, in both colours.

    Values are copies: changing what was read, or what was put, changes nothing in the store.
    """

    def __init__(self, codec: ItemCodec) -> None:
        """With the encoding of its values."""
        self._codec = codec

    # What a subclass gives.

    @abstractmethod
    def _read(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of what is committed."""

    @abstractmethod
    def _write(self, operations: list[Operation]) -> None:
        """Takes all operations, or raises and takes none; their guards are looked at here."""

    def _layers(self) -> Sequence[Layer]:
        """What lies over the snapshot. Asked *before* it is taken: what is committed in between is seen twice, not never."""
        return ()

    def _here(self) -> ItemStore:
        """The store that answers in this context."""
        return self

    async def _aside(self, work: Callable[[], T]) -> T:
        """The result of something that reads or waits for the database."""
        handle: object = getattr(self, "__perdure_backend__", None)
        if isinstance(handle, FaceHandle) and handle.backend.inline:
            return work()  # nothing there is waited for
        return await aside(work)

    async def _awrite(self, operations: list[Operation]) -> None:
        """As `_write`."""
        await self._aside(lambda: self._write(operations))

    # Batches.

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations, in their order; see `BaseStore.batch`.

        All reads see one moment, before the writes; all writes are one commit (inside a task: staged together). Nothing
        is done if one operation cannot be right.
        """
        return self._here()._batch(list(ops))

    def _batch(self, ops: list[Op]) -> list[Result]:
        plan = _Plan(self._codec, ops)
        results = self._answers(plan)
        if plan.writes:
            self._write(plan.writes)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        here = self._here()
        plan = _Plan(here._codec, list(ops))
        results = await here._aside(lambda: here._answers(plan)) if plan.reads else here._answers(plan)
        if plan.writes:
            await here._awrite(plan.writes)
        return results

    def _answers(self, plan: _Plan) -> list[Result]:
        results: list[Result] = [None] * plan.size
        if plan.reads:
            layers = self._layers()
            with self._read() as snapshot:
                for place, answer in plan.reads:
                    results[place] = answer(snapshot, layers)
        return results

    # Single items, without the ado of a batch.

    def get(self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """The item, or None; see `BaseStore.get`."""
        del refresh_ttl  # nothing expires yet
        return self._here()._get(check_labels(namespace), str(key))

    def _get(self, namespace: Namespace, key: str) -> Item | None:
        layers = self._layers()
        with self._read() as snapshot:
            row = read_item(snapshot, layers, namespace, key)
        return None if row is None else self._item(row)

    async def aget(
        self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None
    ) -> Item | None:
        """As `get`."""
        del refresh_ttl  # nothing expires yet
        here, where, key = self._here(), check_labels(namespace), str(key)
        return await here._aside(lambda: here._get(where, key))

    def put(
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
        """The item has this value from now on.

        Replaces the whole value. Inside a task the write is staged: the task reads it back at once, others see it when
        the step commits. Outside a task it is durable on return.

        Args:
            namespace: at least one non-empty label without period and NUL, e.g. `("users", "ada", "notes")`.
            key: any string; other things are made one.
            value: JSON object; encoded size at most 1 MiB. None deletes the item.
            index: False, or nothing; paths to index arrive with the next release.
            ttl: None, or nothing; items live for ever.
            if_version: write only if the item still has this version.
            if_absent: write only if there is no item.

        Raises:
            VersionConflict: another writer was first. Nothing was written; `found` holds the present version.
            EncodingError: a part of `value` cannot be saved; the message names its path.
            InvalidNamespaceError: no item can be filed there.
            NotImplementedError: a `ttl`, or paths to index.

        Method: optimistic validation, Kung & Robinson, ACM TODS 6(2), 1981.
        """
        here = self._here()
        here._write([self._put(here, namespace, key, value, index, ttl, if_version, if_absent)])

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
        here = self._here()
        await here._awrite([self._put(here, namespace, key, value, index, ttl, if_version, if_absent)])

    def _put(
        self,
        here: ItemStore,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None,
        ttl: float | NotProvided | None,
        if_version: int | None,
        if_absent: bool,
    ) -> Operation:
        op = self._put_op(namespace, key, value, index, ttl)
        return _operation(here._codec, op, _guard(if_version, if_absent))

    def delete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """There is no such item from now on; fine if there was none.

        Args:
            namespace: where it is filed.
            key: its name there.
            if_version: delete only if the item still has this version.

        Raises:
            VersionConflict: it has another one, or there is no item; `found` says.
            InvalidNamespaceError: no item can be filed there.
        """
        self._here()._write([_deletion(namespace, key, if_version)])

    async def adelete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """As `delete`."""
        await self._here()._awrite([_deletion(namespace, key, if_version)])

    def update(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """The item after `fn` made its new value from the present one; no other writer's value is lost.

        Outside a task it is durable on return. Inside one the function itself is staged: it is applied again, just
        before the step commits, to the value that then stands.

        Args:
            namespace: at least one label.
            key: made a `str`.
            fn: gets the value, or None if there is no item; gives the new one, or None to delete the item. May be
                called several times, so it should do nothing else. The object it gets is its own to change; it must
                return it all the same.

        Raises:
            VersionConflict: others were faster a thousand times in a row. Nothing was written.
            EncodingError: what `fn` gave cannot be saved.
            InvalidNamespaceError: no item can be filed there.
        """
        return self._here()._update(check_namespace(namespace), str(key), fn)

    async def aupdate(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """As `update`. `fn` is an ordinary function; it may run in another thread, in a copy of the caller's context."""
        here, where, key = self._here(), check_namespace(namespace), str(key)
        return await here._aside(lambda: here._update(where, key, fn))

    def _update(self, namespace: Namespace, key: str, fn: Change) -> Item | None:
        change = self._on_bytes(namespace, key, fn)
        layers = self._layers()
        with self._read() as snapshot:
            row = read_item(snapshot, layers, namespace, key)
            committed = snapshot.item(namespace, key) if row is not None and row.version < 0 else row
        value = change(None if row is None else row.value)  # user code: outside the snapshot
        operation = Operation(
            namespace,
            key,
            value,
            clock.micros(),
            change=change,
            base=None if committed is None else committed.version,
            created_at=None if row is None else row.created_at,
        )
        self._write([operation])
        after = operation.row(None)
        return None if after is None else self._item(after)

    def _checked(self, namespace: tuple[str, ...], key: str) -> tuple[Namespace, str]:
        """Where an item can be put; raises InvalidNamespaceError."""
        return check_namespace(namespace), str(key)

    def _item(self, row: ItemRow) -> Item:
        return _item(self._codec, row)

    def _on_bytes(self, namespace: Namespace, key: str, fn: Change) -> Callable[[bytes | None], bytes | None]:
        """The function as the engine applies it: stored bytes to stored bytes."""
        codec = self._codec

        def change(stored: bytes | None) -> bytes | None:
            value = fn(None if stored is None else codec.decode(namespace, key, stored))
            return None if value is None else codec.encode(namespace, key, value)

        return change


# What is asked, checked and made ready before anything is done.


class _Plan:
    """A batch: its reads as functions of a snapshot, its writes as operations. Raises if one op cannot be right."""

    __slots__ = ("reads", "size", "writes")

    def __init__(self, codec: ItemCodec, ops: list[Op]) -> None:
        self.size = len(ops)
        self.reads: list[tuple[int, Callable[[Snapshot, Sequence[Layer]], Result]]] = []
        last: dict[tuple[Namespace, str], Operation] = {}
        for place, op in enumerate(ops):
            match op:
                case PutOp():
                    operation = _operation(codec, op, ANY)
                    last.pop(
                        (operation.namespace, operation.key), None
                    )  # so that the order is that of the last puts
                    last[operation.namespace, operation.key] = operation
                case GetOp():
                    self.reads.append((place, _getting(codec, op)))
                case SearchOp():
                    self.reads.append((place, _searching(codec, op)))
                case ListNamespacesOp():
                    self.reads.append((place, _listing(op)))
                case _:
                    raise QueryError(f"{op!r} is no operation of a store.", part=type(op).__name__)
        self.writes = list(last.values())


def _operation(codec: ItemCodec, op: PutOp, guard: Guard) -> Operation:
    validate_op_namespace(op)
    namespace, key = tuple(op.namespace), str(op.key)
    if op.ttl is not None:
        raise NotSupported(
            f"ttl={op.ttl!r}: items that expire arrive with the next release. Nothing was written. Leave ttl out."
        )
    if op.index:
        raise NotSupported(
            f"index={op.index!r}: searching by text arrives with the next release, so nothing would be indexed. "
            "Nothing was written. Leave index out, or pass index=False."
        )
    value = None if op.value is None else codec.encode(namespace, key, op.value)
    return Operation(namespace, key, value, clock.micros(), guard)


def _deletion(namespace: tuple[str, ...], key: str, if_version: int | None) -> Operation:
    return Operation(
        check_labels(namespace), str(key), None, clock.micros(), _guard(if_version, if_absent=False)
    )


def _guard(if_version: int | None, if_absent: bool) -> Guard:
    if if_version is None:
        return None if if_absent else ANY
    if if_absent:
        raise QueryError("if_version and if_absent=True contradict each other.", part="if_absent")
    if type(if_version) is not int:
        raise QueryError(
            f"if_version={if_version!r}: give an item's `version`, an integer.", part="if_version"
        )
    return if_version


def _getting(codec: ItemCodec, op: GetOp) -> Callable[[Snapshot, Sequence[Layer]], Item | None]:
    namespace, key = check_labels(op.namespace), str(op.key)

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> Item | None:
        row = read_item(snapshot, layers, namespace, key)
        return None if row is None else _item(codec, row)

    return answer


def _searching(codec: ItemCodec, op: SearchOp) -> Callable[[Snapshot, Sequence[Layer]], list[SearchItem]]:
    prefix = check_labels(op.namespace_prefix)
    if op.query:
        raise QueryError(
            f"query={op.query!r}: searching by text arrives with the next release. Until then use filter=.",
            part="query",
        )
    limit, offset = _count("limit", op.limit), _count("offset", op.offset)
    fits = compile_filter(op.filter) if op.filter is not None else None
    page = _PAGE if op.filter else max(1, min(limit + offset, _PAGE))

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[SearchItem]:
        if limit == 0:
            return []
        rows = read_items(snapshot, layers, prefix, page)
        if not op.filter:
            return [_search_item(row, _value(codec, row)) for row in islice(rows, offset, offset + limit)]
        found: list[SearchItem] = []
        skipped = 0
        for row in rows:
            value = _value(codec, row)
            if fits is not None and fits(value):
                if skipped < offset:
                    skipped += 1
                else:
                    found.append(_search_item(row, value))
                    if len(found) == limit:
                        break
        return found

    return answer


def _listing(op: ListNamespacesOp) -> Callable[[Snapshot, Sequence[Layer]], list[Namespace]]:
    conditions = check_conditions(op.match_conditions or ())
    limit, offset = _count("limit", op.limit), _count("offset", op.offset)
    depth = None if op.max_depth is None else _count("max_depth", op.max_depth, least=1)

    def answer(snapshot: Snapshot, layers: Sequence[Layer]) -> list[Namespace]:
        return matching(snapshot, layers, conditions, depth)[offset : offset + limit]

    return answer


def _count(name: str, given: int, least: int = 0) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < least:  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        raise QueryError(f"{name}={given!r}: give an integer of at least {least}.", part=name)
    return given


# Rows to items.


def _value(codec: ItemCodec, row: ItemRow) -> dict[str, Any]:
    assert row.value is not None  # noqa: S101 - reads give live items only
    return codec.decode(row.namespace, row.key, row.value)


def _item(codec: ItemCodec, row: ItemRow) -> Item:
    return Item(
        value=_value(codec, row),
        key=row.key,
        namespace=row.namespace,
        created_at=_moment(row.created_at),
        updated_at=_moment(row.updated_at),
        version=row.version,
        revision=_revision(row),
    )


def _search_item(row: ItemRow, value: dict[str, Any]) -> SearchItem:
    return SearchItem(
        row.namespace,
        row.key,
        value,
        _moment(row.created_at),
        _moment(row.updated_at),
        version=row.version,
        revision=_revision(row),
    )


def _revision(row: ItemRow) -> str | None:
    return None if row.version < 0 else str(row.revision)


def _moment(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
