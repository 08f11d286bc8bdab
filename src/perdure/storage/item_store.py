"""A store over items of a backend: every method of the interface, over three hooks.

Here: `ItemStore`, what all of Perdure's stores have in common: checking, encoding, reading through layers, versions.
Not here: what a batch asks (`item_batch.py`), the past (`item_past.py`), where writes go. A plain store commits them (`store/face.py`), one bound to a task stages them (`engine`).
Imports the interface (`store/base`), `contract`, `staging`, `filters`, `item_codec`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from perdure import clock
from perdure.storage.aside import aside
from perdure.storage.contract import Again, Backend, ItemRow, Namespace, Snapshot
from perdure.storage.finding import Question
from perdure.storage.item_batch import Plan, deletion, guard_of, operation_of
from perdure.storage.item_bulk import ItemBulk
from perdure.storage.item_checking import ItemChecking
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_contracts import ItemContracts
from perdure.storage.item_forget import ItemForget
from perdure.storage.item_moving import ItemMoving
from perdure.storage.item_past import ItemPast
from perdure.storage.item_rows import item_of
from perdure.storage.item_search import ItemSearch
from perdure.storage.item_watch import ItemWatch
from perdure.storage.lifetimes import micros_of
from perdure.storage.staging import Layer, Operation, read_item, staged_in
from perdure.store.base import (
    NOT_PROVIDED,
    BaseStore,
    Item,
    NotProvided,
    Op,
    PutOp,
    Result,
)
from perdure.store.base.interface import Change
from perdure.store.base.ops import check_labels, check_namespace

if TYPE_CHECKING:
    from perdure.storage.scoped import ScopedStore

__all__ = ["Change", "FaceHandle", "ItemStore"]

T = TypeVar("T")
_PROMPTLY: Final = 3  # tries, while others write


@dataclass(frozen=True, slots=True)
class FaceHandle:
    """What the engine needs of a store or saver that is ours, so as to commit for it."""

    backend: Backend
    codec: ItemCodec
    scope: Namespace = ()  # what the store calls its root


class ItemStore(
    ItemSearch, ItemBulk, ItemForget, ItemMoving, ItemChecking, ItemContracts, ItemPast, ItemWatch, BaseStore
):
    """A store over a backend's items. Safe from any thread and any event loop, in both colours.

    Values are copies: changing what was read, or what was put, changes nothing in the store.
    """

    supports_order = True

    def __init__(self, codec: ItemCodec) -> None:
        """With the encoding of its values."""
        self._codec = codec

    def scoped(self, prefix: tuple[str, ...]) -> ScopedStore:
        """The subtree below the prefix, as if it were the whole store: nothing outside can be seen or changed through it.

        Give it to code that acts for one user; it commits with the step of a graph like the store itself, also when
        handed to `compile(store=)`.

        Args:
            prefix: at least one label, none of them `"*"`.

        Raises:
            InvalidNamespaceError: no scope can have this prefix.
        """
        from perdure.storage.scope import check_scope
        from perdure.storage.scoped import ScopedStore

        return ScopedStore(self, check_scope(prefix))

    # What a subclass gives.

    @abstractmethod
    def _read(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of what is committed."""

    @abstractmethod
    def _write(self, operations: list[Operation]) -> None:
        """Takes all operations, or raises and takes none; their guards are looked at here."""

    def _read_promptly(self) -> AbstractContextManager[Snapshot] | None:
        """As `_read`, where one question or two are asked at once; it may raise `Again`. None: there is nothing of the sort."""
        return None

    def _layers(self) -> Sequence[Layer]:
        """What lies over the snapshot. Asked *before* it is taken: what is committed in between is seen twice, not never."""
        return ()

    def _was_read(self, items: Iterable[Item]) -> None:
        """These items were read, and their time begins anew; called outside of snapshots."""

    def _committed(self) -> AbstractContextManager[Snapshot]:
        return self._read()

    def _here(self) -> ItemStore:
        """The store that answers in this context."""
        return self

    _of_task = False

    @property
    def stages(self) -> bool:
        """Whether what is written through it, here and now, waits for the step of a running task."""
        return self._here()._of_task

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
        asked = list(ops)
        self._refuse_ttl(asked)
        return self._here()._batch(asked)

    def _batch(self, ops: list[Op]) -> list[Result]:
        plan = Plan(self._codec, ops)
        self._ask_model(plan)
        results = self._answers(plan)
        if plan.writes:
            self._write(plan.writes)
        return results

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        asked = list(ops)
        self._refuse_ttl(asked)
        here = self._here()
        plan = Plan(here._codec, asked)
        await here._aask_model(plan)
        if plan.finishes:
            results = await here._aside(lambda: here._reads(plan))
            await plan.afinish(results)
            await here._aside(lambda: here._was_read(plan.refreshing(results)))
        else:
            results = await here._aside(lambda: here._answers(plan)) if plan.reads else here._answers(plan)
        if plan.writes:
            await here._awrite(plan.writes)
        return results

    def _ask_model(self, plan: Plan) -> None:
        """Fetches the vectors of what is asked, and of what is staged where it is asked."""
        embedder = self._codec.embedder
        if plan.questions and embedder is not None:
            for question in plan.questions:
                question.vector = embedder.query(question.text)
            self._codec.embed(self._staged_for(plan.questions))

    async def _aask_model(self, plan: Plan) -> None:
        embedder = self._codec.embedder
        if plan.questions and embedder is not None:
            for question in plan.questions:
                question.vector = await embedder.aquery(question.text)
            await self._codec.aembed(self._staged_for(plan.questions))

    def _staged_for(self, questions: Sequence[Question]) -> list[Operation]:
        layers = self._layers()
        found = {id(op): op for question in questions for op in staged_in(layers, question.prefix)}
        return self._codec.lacking(found.values())

    def _answers(self, plan: Plan) -> list[Any]:
        results = self._reads(plan)
        if plan.reads:
            plan.finish(results)
            self._was_read(plan.refreshing(results))
        return results

    def _reads(self, plan: Plan) -> list[Any]:
        """What one snapshot has: answers, and drafts of some that are finished when it is over."""
        for _ in range(_PROMPTLY if plan.is_prompt else 0):
            try:
                prompt = self._read_promptly()
                if prompt is None:
                    break
                return self._seen(plan, lambda question, of=prompt: _answered(of, question))
            except Again as again:
                if not again.changed:
                    break
        return self._seen(plan, self._look if plan.may_lag else self._look_now)

    def _seen(self, plan: Plan, look: Callable[[Callable[[Snapshot], None]], None]) -> list[Any]:
        results: list[Any] = [None] * plan.size
        if plan.reads:
            layers = self._layers()

            def answer_all(snapshot: Snapshot) -> None:
                plan.foretell(snapshot, layers)
                for place, answer in plan.reads:
                    results[place] = answer(snapshot, layers)

            look(answer_all)
        return results

    def _look_now(self, question: Callable[[Snapshot], T]) -> T:
        """The answer of a snapshot that is taken for it, as `_read` gives one."""
        return _answered(self._read(), question)

    def _look(self, question: Callable[[Snapshot], T]) -> T:
        return self._look_now(question)

    def _refuse_ttl(self, ops: list[Op]) -> None:
        """Raises NotSupported for a time to live where nobody said what that means."""
        for op in ops:
            if isinstance(op, PutOp) and op.ttl is not None and not self.supports_ttl:
                self._put_op(op.namespace, op.key, {}, None, op.ttl)

    # Single items, without the ado of a batch.

    def get(self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """The item, or None; see `BaseStore.get`."""
        return self._here()._get(check_labels(namespace), str(key), self._refresh(refresh_ttl))

    def _get(self, namespace: Namespace, key: str, refresh: bool = False) -> Item | None:
        row = self._row(namespace, key)
        if row is None:
            return None
        item = self._item(row)
        if refresh and row.expires is not None:
            self._was_read([item])
        return item

    def _row(self, namespace: Namespace, key: str) -> ItemRow | None:
        """The item as this store sees it."""
        layers = self._layers()
        return self._look_now(lambda snapshot: read_item(snapshot, layers, namespace, key))

    async def aget(
        self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None
    ) -> Item | None:
        """As `get`."""
        refresh = self._refresh(refresh_ttl)
        here, where, key = self._here(), check_labels(namespace), str(key)
        return await here._aside(lambda: here._get(where, key, refresh))

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
            index: paths of the texts to be found by; False: it is not to be found by a query; None: as the store was opened.
            ttl: minutes to live, from now or from its step's commit on; None: for ever. Not given: as the store was
                opened, for ever if it said nothing.
            if_version: write only if the item still has this version.
            if_absent: write only if there is no item.

        Raises:
            VersionConflict: another writer was first. Nothing was written; `found` holds the present version.
            EncodingError: a part of `value` cannot be saved; the message names its path.
            ContractError: the value is not what the contract of its namespace says. Nothing was written.
            InvalidNamespaceError: no item can be filed there.
            NotImplementedError: a `ttl`, and the store was opened without `ttl=`.

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
        return operation_of(here._codec, op, guard_of(if_version, if_absent))

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
        self._here()._write([deletion(namespace, key, if_version)])

    async def adelete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """As `delete`."""
        await self._here()._awrite([deletion(namespace, key, if_version)])

    def update(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """The item after `fn` made its new value from the present one; no other writer's value is lost.

        Outside a task it is durable on return. Inside one the function itself is staged: it is applied again, just
        before the step commits, to the value that then stands. The item ends when it did before: this changes what it
        says, not how long it lives; one that is made here lives as long as one that is put.

        Args:
            namespace: at least one label.
            key: made a `str`.
            fn: gets the value, or None if there is no item; gives the new one, or None to delete the item. May be
                called several times, so it should do nothing else. The object it gets is its own to change; it must
                return it all the same.

        Raises:
            VersionConflict: others were faster a thousand times in a row. Nothing was written.
            EncodingError: what `fn` gave cannot be saved, or breaks its contract (`ContractError`).
            InvalidNamespaceError: no item can be filed there.
        """
        return self._here()._update(check_namespace(namespace), str(key), fn, self._default_ttl())

    async def aupdate(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """As `update`. `fn` is an ordinary function; it may run in another thread, in a copy of the caller's context."""
        here, where, key, ttl = self._here(), check_namespace(namespace), str(key), self._default_ttl()
        return await here._aside(lambda: here._update(where, key, fn, ttl))

    def _default_ttl(self) -> int | None:
        """Microseconds that an item lives if nobody says how long."""
        return None if self.ttl_config is None else micros_of(self.ttl_config.get("default_ttl"))

    def _update(self, namespace: Namespace, key: str, fn: Change, ttl: int | None) -> Item | None:
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
            paths=None if row is None else row.paths,
            ttl=ttl,
            keeps=True,
        )
        self._write([operation])
        after = operation.row(None)
        return None if after is None else self._item(after)

    def _checked(self, namespace: tuple[str, ...], key: str) -> tuple[Namespace, str]:
        """Where an item can be put; raises InvalidNamespaceError."""
        return check_namespace(namespace), str(key)

    def _item(self, row: ItemRow) -> Item:
        return item_of(self._codec, row)

    def _on_bytes(self, namespace: Namespace, key: str, fn: Change) -> Callable[[bytes | None], bytes | None]:
        """The function as the engine applies it: stored bytes to stored bytes."""
        codec = self._codec

        def change(stored: bytes | None) -> bytes | None:
            value = fn(None if stored is None else codec.decode(namespace, key, stored))
            return None if value is None else codec.encode(namespace, key, value)

        return change


def _answered(read: AbstractContextManager[Snapshot], question: Callable[[Snapshot], T]) -> T:
    with read as snapshot:
        return question(snapshot)
