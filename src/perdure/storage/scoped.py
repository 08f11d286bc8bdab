"""A view of a store that takes one subtree for the whole: it cannot see, nor change, what lies outside.

Every namespace that goes in gets the scope's prefix in front, as a tuple, and every one that comes out loses it; so there
is no namespace, query, filter or cursor that means anything outside. Nothing else of the store can be reached: a method
that is not written here does not exist in a scope.

Here: `ScopedStore`. Not here: how names go in and out (`scope.py`), what the store does (`item_store.py`), scopes from a
template (`compile(memory_scope=)`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Literal, NoReturn

from perdure.storage.contract import Namespace
from perdure.storage.item_search import ItemSearch
from perdure.storage.item_store import FaceHandle, ItemStore
from perdure.storage.moments import Moment
from perdure.storage.past_store import PastStore
from perdure.storage.reverting import Reverted
from perdure.storage.scope import Scope, check_scope
from perdure.storage.versions import Blame, Difference, ItemVersion
from perdure.storage.watching import POLL_SECONDS, Watch, Watching
from perdure.store.base import (
    NOT_PROVIDED,
    Item,
    NotProvided,
    NotSupported,
    Op,
    Result,
)
from perdure.store.base.interface import Change
from perdure.store.base.ops import check_labels, check_namespace

__all__ = ["ScopedPast", "ScopedStore"]


class ScopedStore(ItemSearch):
    """The subtree below a prefix, as if it were the whole store: every method of the store, in both colours.

    Namespaces, items, events, reports and errors are relative to the prefix. Items that are filed at the prefix itself
    have the namespace `()`: they can be read and deleted; what is put has at least one label, as everywhere.
    What a scope does not hide: revisions, versions and `Compacted` are of the database, so that they tell that something
    was written somewhere, never what or where; and names of threads, runs and checkpoints (`at`, `revert`) are its, too.
    """

    supports_order = True

    def __init__(self, store: ItemStore, prefix: Namespace) -> None:
        """The view of the whole `store` below a checked prefix; see `ItemStore.scoped`."""
        self._store = store
        self._scope = Scope(prefix)
        self.supports_ttl = store.supports_ttl
        self.ttl_config = store.ttl_config

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._scope.prefix!r} of {self._store!r}>"

    @property
    def root(self) -> ItemStore:
        """The store that this is a part of."""
        return self._store

    @property
    def __perdure_backend__(self) -> FaceHandle | None:
        """What the engine commits with; None if the store is of somebody's own class."""
        handle: object = getattr(self._store, "__perdure_backend__", None)
        return replace(handle, scope=self._scope.prefix) if isinstance(handle, FaceHandle) else None

    @property
    def stages(self) -> bool:
        """Whether what is written through it waits for the step of a running task; see `ItemStore.stages`."""
        return self._store.stages

    def scoped(self, prefix: tuple[str, ...]) -> ScopedStore:
        """The subtree of this subtree; see `ItemStore.scoped`."""
        return ScopedStore(self._store, self._scope.within(check_scope(prefix)))

    @property
    def direct(self) -> ScopedStore:
        """This scope past the running task: see `BaseStore.direct`."""
        past_task = self._store.direct
        if not isinstance(past_task, ItemStore):
            raise NotSupported(f"{self!r} has no way past the task: its store is of somebody's own class.")
        return ScopedStore(past_task, self._scope.prefix)

    # Many items at once, and for good.

    def delete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """How many items were deleted; see `ItemStore.delete_prefix`."""
        with self._scope.errors_out():
            return self._store.delete_prefix(self._scope.within(check_labels(prefix)), filter=filter)

    async def adelete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """As `delete_prefix`."""
        with self._scope.errors_out():
            return await self._store.adelete_prefix(self._scope.within(check_labels(prefix)), filter=filter)

    def count(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """How many items there are; see `ItemStore.count`."""
        with self._scope.errors_out():
            return self._store.count(self._scope.within(check_labels(prefix)), filter=filter)

    async def acount(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """As `count`."""
        with self._scope.errors_out():
            return await self._store.acount(self._scope.within(check_labels(prefix)), filter=filter)

    def _refuse_whole(self, what: str) -> NoReturn:
        raise NotSupported(
            f"{what} is for whoever runs the database, not for one scope of it: call it on the whole store (`scope.root`),"
            f" with the prefix {self._scope.prefix!r}. Nothing was done."
        )

    def forget(self, prefix: tuple[str, ...], **options: Any) -> NoReturn:
        """Refused: it rewrites the database's files and may delete threads. `scope.root.forget(...)`."""
        del prefix, options
        self._refuse_whole("forget")

    async def aforget(self, prefix: tuple[str, ...], **options: Any) -> NoReturn:
        """As `forget`."""
        self.forget(prefix, **options)

    def export(self, prefix: tuple[str, ...] = (), **options: Any) -> NoReturn:
        """Refused: lines are of the whole store's namespaces. `scope.root.export(...)`."""
        del prefix, options
        self._refuse_whole("export")

    def aexport(self, prefix: tuple[str, ...] = (), **options: Any) -> NoReturn:
        """As `export`."""
        self.export(prefix, **options)

    def import_(self, lines: object, **options: Any) -> NoReturn:
        """Refused: lines are of the whole store's namespaces. `scope.root.import_(...)`."""
        del lines, options
        self._refuse_whole("import_")

    async def aimport(self, lines: object, **options: Any) -> NoReturn:
        """As `import_`."""
        self.import_(lines, **options)

    def reindex(self, prefix: tuple[str, ...] = (), **options: Any) -> NoReturn:
        """Refused: it is the store's `index=` that changed. `scope.root.reindex(...)`."""
        del prefix, options
        self._refuse_whole("reindex")

    async def areindex(self, prefix: tuple[str, ...] = (), **options: Any) -> NoReturn:
        """As `reindex`."""
        self.reindex(prefix, **options)

    def migrate_contracts(self, prefix: tuple[str, ...] = (), **options: Any) -> NoReturn:
        """Refused: it is the store's `contracts=` that changed. `scope.root.migrate_contracts(...)`."""
        del prefix, options
        self._refuse_whole("migrate_contracts")

    async def amigrate_contracts(self, prefix: tuple[str, ...] = (), **options: Any) -> NoReturn:
        """As `migrate_contracts`."""
        self.migrate_contracts(prefix, **options)

    def check(self, **options: Any) -> NoReturn:
        """Refused: it looks at the whole index. `scope.root.check(...)`."""
        del options
        self._refuse_whole("check")

    # Batches.

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations, in their order; see `BaseStore.batch`."""
        asked = list(ops)
        inside = [self._scope.op_in(op) for op in asked]
        with self._scope.errors_out():
            results = self._store.batch(inside)
        return [self._scope.result_out(*pair) for pair in zip(asked, results, strict=True)]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        asked = list(ops)
        inside = [self._scope.op_in(op) for op in asked]
        with self._scope.errors_out():
            results = await self._store.abatch(inside)
        return [self._scope.result_out(*pair) for pair in zip(asked, results, strict=True)]

    # Single writes, with their conditions.

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
        """The item has this value from now on; see `ItemStore.put`."""
        where = self._scope.within(check_namespace(namespace))
        with self._scope.errors_out():
            self._store.put(where, key, value, index, ttl=ttl, if_version=if_version, if_absent=if_absent)

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
        where = self._scope.within(check_namespace(namespace))
        with self._scope.errors_out():
            await self._store.aput(
                where, key, value, index, ttl=ttl, if_version=if_version, if_absent=if_absent
            )

    def delete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """There is no such item from now on; see `ItemStore.delete`."""
        where = self._scope.within(check_labels(namespace))
        with self._scope.errors_out():
            self._store.delete(where, key, if_version=if_version)

    async def adelete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """As `delete`."""
        where = self._scope.within(check_labels(namespace))
        with self._scope.errors_out():
            await self._store.adelete(where, key, if_version=if_version)

    def update(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """The item after `fn` made its new value from the present one; see `ItemStore.update`."""
        where = self._scope.within(check_namespace(namespace))
        with self._scope.errors_out():
            item = self._store.update(where, key, fn)
        return None if item is None else self._scope.item_out(item)

    async def aupdate(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """As `update`."""
        where = self._scope.within(check_namespace(namespace))
        with self._scope.errors_out():
            item = await self._store.aupdate(where, key, fn)
        return None if item is None else self._scope.item_out(item)

    # The past.

    def history(self, namespace: tuple[str, ...], key: str, *, limit: int = 100) -> list[ItemVersion]:
        """The item's versions that are kept, newest first; see `ItemStore.history`."""
        where = self._scope.within(check_labels(namespace))
        with self._scope.errors_out():
            return [self._scope.version_out(one) for one in self._store.history(where, key, limit=limit)]

    async def ahistory(self, namespace: tuple[str, ...], key: str, *, limit: int = 100) -> list[ItemVersion]:
        """As `history`."""
        where = self._scope.within(check_labels(namespace))
        with self._scope.errors_out():
            return [
                self._scope.version_out(one) for one in await self._store.ahistory(where, key, limit=limit)
            ]

    def at(self, moment: Moment) -> ScopedPast:
        """This scope as it was, to be read like any store; see `ItemStore.at`."""
        return ScopedPast(self._store.at(moment), self._scope.prefix)

    async def aat(self, moment: Moment) -> ScopedPast:
        """As `at`."""
        return ScopedPast(await self._store.aat(moment), self._scope.prefix)

    def diff(
        self, before: Moment, after: Moment | None = None, prefix: tuple[str, ...] = ()
    ) -> list[Difference]:
        """Items that two moments show differently; see `ItemStore.diff`."""
        inside = self._scope.within(check_labels(prefix))
        with self._scope.errors_out():
            return [self._scope.difference_out(one) for one in self._store.diff(before, after, inside)]

    async def adiff(
        self, before: Moment, after: Moment | None = None, prefix: tuple[str, ...] = ()
    ) -> list[Difference]:
        """As `diff`."""
        inside = self._scope.within(check_labels(prefix))
        with self._scope.errors_out():
            return [self._scope.difference_out(one) for one in await self._store.adiff(before, after, inside)]

    def blame(self, namespace: tuple[str, ...], key: str) -> Blame | None:
        """Who wrote the item, and each of its fields; see `ItemStore.blame`."""
        where = self._scope.within(check_labels(namespace))
        with self._scope.errors_out():
            return self._scope.blame_out(self._store.blame(where, key))

    async def ablame(self, namespace: tuple[str, ...], key: str) -> Blame | None:
        """As `blame`."""
        where = self._scope.within(check_labels(namespace))
        with self._scope.errors_out():
            return self._scope.blame_out(await self._store.ablame(where, key))

    def revert(
        self,
        *,
        run: object = None,
        thread: str | None = None,
        since: Moment | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Reverted:
        """What a run or a thread wrote inside is taken back, nothing of what it wrote outside; see `ItemStore.revert`."""
        inside = self._scope.within(check_labels(prefix))
        with self._scope.errors_out():
            report = self._store.revert(run=run, thread=thread, since=since, prefix=inside)
        return self._scope.report_out(report)

    async def arevert(
        self,
        *,
        run: object = None,
        thread: str | None = None,
        since: Moment | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Reverted:
        """As `revert`."""
        inside = self._scope.within(check_labels(prefix))
        with self._scope.errors_out():
            report = await self._store.arevert(run=run, thread=thread, since=since, prefix=inside)
        return self._scope.report_out(report)

    # Watching.

    def watch(
        self,
        prefix: tuple[str, ...] = (),
        *,
        since: Moment | None = None,
        poll_seconds: float = POLL_SECONDS,
        progress_seconds: float | None = None,
    ) -> Watch:
        """What is written below the prefix from now on, commit by commit; see `ItemStore.watch`."""
        return self._store.watching(self._watched(prefix, since, poll_seconds, progress_seconds))

    async def awatch(
        self,
        prefix: tuple[str, ...] = (),
        *,
        since: Moment | None = None,
        poll_seconds: float = POLL_SECONDS,
        progress_seconds: float | None = None,
    ) -> Watch:
        """As `watch`."""
        return await self._store.awatching(self._watched(prefix, since, poll_seconds, progress_seconds))

    def _watched(
        self, prefix: tuple[str, ...], since: Moment | None, poll: float, progress: float | None
    ) -> Watching:
        return Watching(
            self._scope.within(check_labels(prefix)), since, poll, progress, cut=len(self._scope.prefix)
        )


class ScopedPast(ScopedStore):
    """A scope as it was when one commit was the newest.

    Attributes:
        revision: opaque mark of that commit.
    """

    def __init__(self, store: PastStore, prefix: Namespace) -> None:
        """The view's part below a checked prefix."""
        super().__init__(store, prefix)
        self.revision = store.revision
