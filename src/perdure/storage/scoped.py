"""A view of a store that takes one subtree for the whole: it cannot see, nor change, what lies outside.

Every namespace that goes in gets the scope's prefix in front, as a tuple, and every one that comes out loses it; so there
is no namespace, query, filter or cursor that means anything outside. Conditions of `list_namespaces`, which know a
wildcard, are looked at here, against namespaces that have lost the prefix. Nothing else of the store can be reached:
a method that is not written here does not exist in a scope.

Here: `ScopedStore`. Not here: what the store does (`item_store.py`), scopes from a template (`compile(memory_scope=)`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Literal, NoReturn, cast

from perdure.errors import ContractError, PerdureError, VersionConflict
from perdure.storage.contract import Namespace
from perdure.storage.cursors import moved_in, moved_out
from perdure.storage.item_batch import counted
from perdure.storage.item_search import ItemSearch
from perdure.storage.item_store import FaceHandle, ItemStore
from perdure.storage.moments import Moment
from perdure.storage.namespace_match import ANY_LABEL, check_conditions, cut_to, meets
from perdure.storage.past_store import PastStore
from perdure.storage.reverting import Reverted
from perdure.storage.versions import Blame, Difference, ItemVersion
from perdure.storage.watching import POLL_SECONDS, Watch, Watching
from perdure.store.base import (
    NOT_PROVIDED,
    GetOp,
    InvalidNamespaceError,
    Item,
    ListNamespacesOp,
    MatchCondition,
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

__all__ = ["ScopedPast", "ScopedStore", "check_scope"]

_ALL: Final = (1 << 63) - 1


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
        self._prefix = prefix
        self.supports_ttl = store.supports_ttl
        self.ttl_config = store.ttl_config

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._prefix!r} of {self._store!r}>"

    @property
    def root(self) -> ItemStore:
        """The store that this is a part of."""
        return self._store

    @property
    def __perdure_backend__(self) -> FaceHandle | None:
        """What the engine commits with; None if the store is of somebody's own class."""
        handle: object = getattr(self._store, "__perdure_backend__", None)
        return replace(handle, scope=self._prefix) if isinstance(handle, FaceHandle) else None

    def scoped(self, prefix: tuple[str, ...]) -> ScopedStore:
        """The subtree of this subtree; see `ItemStore.scoped`."""
        return ScopedStore(self._store, self._within(check_scope(prefix)))

    @property
    def direct(self) -> ScopedStore:
        """This scope past the running task: see `BaseStore.direct`."""
        past_task = self._store.direct
        if not isinstance(past_task, ItemStore):
            raise NotSupported(f"{self!r} has no way past the task: its store is of somebody's own class.")
        return ScopedStore(past_task, self._prefix)

    # Many items at once, and for good.

    def delete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """How many items were deleted; see `ItemStore.delete_prefix`."""
        with self._errors_out():
            return self._store.delete_prefix(self._within(check_labels(prefix)), filter=filter)

    async def adelete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """As `delete_prefix`."""
        with self._errors_out():
            return await self._store.adelete_prefix(self._within(check_labels(prefix)), filter=filter)

    def count(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """How many items there are; see `ItemStore.count`."""
        with self._errors_out():
            return self._store.count(self._within(check_labels(prefix)), filter=filter)

    async def acount(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """As `count`."""
        with self._errors_out():
            return await self._store.acount(self._within(check_labels(prefix)), filter=filter)

    def _refuse_whole(self, what: str) -> NoReturn:
        raise NotSupported(
            f"{what} is for whoever runs the database, not for one scope of it: call it on the whole store (`scope.root`),"
            f" with the prefix {self._prefix!r}. Nothing was done."
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

    # In and out.

    def _within(self, namespace: Namespace) -> Namespace:
        return (*self._prefix, *namespace)

    def _out(self, namespace: Namespace) -> Namespace:
        if namespace[: len(self._prefix)] != self._prefix:
            raise AssertionError("a store answered for another subtree than it was asked for")
        return namespace[len(self._prefix) :]

    def _item_out(self, item: Item) -> Item:
        """The same item, which nobody else holds."""
        item.namespace = self._out(item.namespace)
        if isinstance(item, SearchItem) and item.cursor is not None:
            item.cursor = moved_out(item.cursor, self._prefix)
        return item

    def _version_out(self, version: ItemVersion) -> ItemVersion:
        return replace(version, namespace=self._out(version.namespace))

    def _difference_out(self, difference: Difference) -> Difference:
        return replace(difference, namespace=self._out(difference.namespace))

    @contextmanager
    def _errors_out(self) -> Generator[None]:
        """In this block errors lose the prefix, too."""
        try:
            yield
        except PerdureError as error:
            opening = repr(self._prefix)[:-1].rstrip(",") + ", "
            message = error.args[0] if error.args else None
            if isinstance(error, VersionConflict) and error.namespace[: len(self._prefix)] == self._prefix:
                there, here = error.namespace, self._out(error.namespace)
                message = str(message).replace(repr(there), repr(here))
                error.namespace = here
                error.keys = tuple((self._out(namespace), key) for namespace, key in error.keys)
            if isinstance(error, ContractError) and error.namespace[: len(self._prefix)] == self._prefix:
                error.namespace = self._out(error.namespace)
            if isinstance(message, str):
                error.args = (message.replace(opening, "("), *error.args[1:])
            raise

    # Batches.

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations, in their order; see `BaseStore.batch`."""
        asked = list(ops)
        inside = [self._op_in(op) for op in asked]
        with self._errors_out():
            results = self._store.batch(inside)
        return [self._result_out(*pair) for pair in zip(asked, results, strict=True)]

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""
        asked = list(ops)
        inside = [self._op_in(op) for op in asked]
        with self._errors_out():
            results = await self._store.abatch(inside)
        return [self._result_out(*pair) for pair in zip(asked, results, strict=True)]

    def _op_in(self, op: Op) -> Op:
        validate_op_namespace(op)
        match op:
            case GetOp() | PutOp():
                return op._replace(namespace=self._within(check_labels(op.namespace)))
            case SearchOp():
                after = None if op.after is None else moved_in(op.after, self._prefix)
                prefix = self._within(check_labels(op.namespace_prefix))
                return op._replace(namespace_prefix=prefix, after=after)
            case ListNamespacesOp():
                check_conditions(op.match_conditions or ())
                counted("limit", op.limit)
                counted("offset", op.offset)
                if op.max_depth is not None:
                    counted("max_depth", op.max_depth, least=1)
                return ListNamespacesOp((MatchCondition("prefix", self._prefix),), None, _ALL)
            case _:
                return op  # the store says that there is none such

    def _result_out(self, op: Op, result: Result) -> Result:
        match op:
            case GetOp():
                return None if result is None else self._item_out(cast("Item", result))
            case SearchOp():
                return [self._item_out(item) for item in cast("list[SearchItem]", result)]
            case ListNamespacesOp():
                conditions = check_conditions(op.match_conditions or ())
                spaces = [self._out(space) for space in cast("list[Namespace]", result)]
                found = [space for space in spaces if all(meets(space, one) for one in conditions)]
                return cut_to(found, op.max_depth)[op.offset : op.offset + op.limit]
            case _:
                return None

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
        where = self._within(check_namespace(namespace))
        with self._errors_out():
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
        where = self._within(check_namespace(namespace))
        with self._errors_out():
            await self._store.aput(
                where, key, value, index, ttl=ttl, if_version=if_version, if_absent=if_absent
            )

    def delete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """There is no such item from now on; see `ItemStore.delete`."""
        where = self._within(check_labels(namespace))
        with self._errors_out():
            self._store.delete(where, key, if_version=if_version)

    async def adelete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """As `delete`."""
        where = self._within(check_labels(namespace))
        with self._errors_out():
            await self._store.adelete(where, key, if_version=if_version)

    def update(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """The item after `fn` made its new value from the present one; see `ItemStore.update`."""
        where = self._within(check_namespace(namespace))
        with self._errors_out():
            item = self._store.update(where, key, fn)
        return None if item is None else self._item_out(item)

    async def aupdate(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """As `update`."""
        where = self._within(check_namespace(namespace))
        with self._errors_out():
            item = await self._store.aupdate(where, key, fn)
        return None if item is None else self._item_out(item)

    # The past.

    def history(self, namespace: tuple[str, ...], key: str, *, limit: int = 100) -> list[ItemVersion]:
        """The item's versions that are kept, newest first; see `ItemStore.history`."""
        where = self._within(check_labels(namespace))
        with self._errors_out():
            return [self._version_out(one) for one in self._store.history(where, key, limit=limit)]

    async def ahistory(self, namespace: tuple[str, ...], key: str, *, limit: int = 100) -> list[ItemVersion]:
        """As `history`."""
        where = self._within(check_labels(namespace))
        with self._errors_out():
            return [self._version_out(one) for one in await self._store.ahistory(where, key, limit=limit)]

    def at(self, moment: Moment) -> ScopedPast:
        """This scope as it was, to be read like any store; see `ItemStore.at`."""
        return ScopedPast(self._store.at(moment), self._prefix)

    async def aat(self, moment: Moment) -> ScopedPast:
        """As `at`."""
        return ScopedPast(await self._store.aat(moment), self._prefix)

    def diff(
        self, before: Moment, after: Moment | None = None, prefix: tuple[str, ...] = ()
    ) -> list[Difference]:
        """Items that two moments show differently; see `ItemStore.diff`."""
        inside = self._within(check_labels(prefix))
        with self._errors_out():
            return [self._difference_out(one) for one in self._store.diff(before, after, inside)]

    async def adiff(
        self, before: Moment, after: Moment | None = None, prefix: tuple[str, ...] = ()
    ) -> list[Difference]:
        """As `diff`."""
        inside = self._within(check_labels(prefix))
        with self._errors_out():
            return [self._difference_out(one) for one in await self._store.adiff(before, after, inside)]

    def blame(self, namespace: tuple[str, ...], key: str) -> Blame | None:
        """Who wrote the item, and each of its fields; see `ItemStore.blame`."""
        where = self._within(check_labels(namespace))
        with self._errors_out():
            return self._blame_out(self._store.blame(where, key))

    async def ablame(self, namespace: tuple[str, ...], key: str) -> Blame | None:
        """As `blame`."""
        where = self._within(check_labels(namespace))
        with self._errors_out():
            return self._blame_out(await self._store.ablame(where, key))

    def _blame_out(self, blame: Blame | None) -> Blame | None:
        if blame is None:
            return None
        fields = {name: None if one is None else self._version_out(one) for name, one in blame.fields.items()}
        return replace(blame, version=self._version_out(blame.version), fields=fields)

    def revert(
        self,
        *,
        run: object = None,
        thread: str | None = None,
        since: Moment | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Reverted:
        """What a run or a thread wrote inside is taken back, nothing of what it wrote outside; see `ItemStore.revert`."""
        inside = self._within(check_labels(prefix))
        with self._errors_out():
            report = self._store.revert(run=run, thread=thread, since=since, prefix=inside)
        return self._report_out(report)

    async def arevert(
        self,
        *,
        run: object = None,
        thread: str | None = None,
        since: Moment | None = None,
        prefix: tuple[str, ...] = (),
    ) -> Reverted:
        """As `revert`."""
        inside = self._within(check_labels(prefix))
        with self._errors_out():
            report = await self._store.arevert(run=run, thread=thread, since=since, prefix=inside)
        return self._report_out(report)

    def _report_out(self, report: Reverted) -> Reverted:
        conflicts = tuple(
            replace(
                one,
                namespace=self._out(one.namespace),
                later=None if one.later is None else self._version_out(one.later),
            )
            for one in report.conflicts
        )
        return replace(
            report, items=tuple(self._difference_out(one) for one in report.items), conflicts=conflicts
        )

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
        return Watching(self._within(check_labels(prefix)), since, poll, progress, cut=len(self._prefix))


class ScopedPast(ScopedStore):
    """A scope as it was when one commit was the newest.

    Attributes:
        revision: opaque mark of that commit.
    """

    def __init__(self, store: PastStore, prefix: Namespace) -> None:
        """The view's part below a checked prefix."""
        super().__init__(store, prefix)
        self.revision = store.revision


def check_scope(prefix: tuple[str, ...]) -> Namespace:
    """The prefix, if it can be a scope's.

    Raises:
        InvalidNamespaceError: it is empty, no item can be filed below it, or it has the label `"*"`, which conditions of
            `list_namespaces` take for any label.
    """
    namespace = tuple(str(label) for label in check_namespace(prefix))
    if ANY_LABEL in namespace:
        raise InvalidNamespaceError(
            f"The scope {namespace!r} has the label '*', which stands for any label in conditions. Choose another.",
            part=ANY_LABEL,
        )
    return namespace
