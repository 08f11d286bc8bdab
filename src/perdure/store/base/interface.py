"""The abstract store: two methods to write, all others follow from them.

Here: the conveniences over `batch` and `abatch`. Not here: namespaces' rules (`ops.py`), anything about databases.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeAlias, cast

from perdure.store.base.bulk import BulkMethods
from perdure.store.base.items import Item, SearchItem
from perdure.store.base.ops import (
    NOT_PROVIDED,
    GetOp,
    ListNamespacesOp,
    MatchCondition,
    NamespacePath,
    NotProvided,
    NotSupported,
    Op,
    PutOp,
    Result,
    SearchOp,
    TTLConfig,
    check_labels,
    check_namespace,
)
from perdure.store.base.ranking import RankBy

__all__ = ["BaseStore", "Change"]

Change: TypeAlias = Callable[[dict[str, Any] | None], Mapping[str, Any] | None]
"""From an item's value (None: there is none) to its new one (None: the item goes)."""


class BaseStore(BulkMethods):
    """Memory across threads: JSON objects, each at a namespace and a key.

    A subclass writes `batch` and `abatch`. What it may do better than the defaults here: `update`, and the versions that
    `if_version=` and `if_absent=` ask for.

    Attributes:
        supports_ttl: whether items can be put for a time only.
        ttl_config: how long items live unless their put says otherwise.
        supports_order: whether searches know `order_by` and `after`.
        supports_ranking: whether searches know `rank_by` and `neighbours`.
    """

    supports_ttl: bool = False
    supports_order: bool = False
    supports_ranking: bool = False
    ttl_config: TTLConfig | None = None

    @abstractmethod
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations, in their order.

        Reads see the state before the batch's writes. Of several puts to one place the last wins. Puts give None.
        """

    @abstractmethod
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""

    def get(self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None) -> Item | None:
        """The item, or None.

        Args:
            namespace: where it is filed.
            key: its name there; made a `str`.
            refresh_ttl: whether its time starts anew; None: as the store is configured.

        Raises:
            InvalidNamespaceError: no item can be filed there.
        """
        return cast("Item | None", self.batch([self._get_op(namespace, key, refresh_ttl)])[0])

    def search(
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
        """Items whose namespace begins with the prefix, most recently updated first unless told otherwise.

        Args:
            namespace_prefix: whole labels, compared literally; `()` is everything.
            query: words to rank by; `""` is none.
            filter: fields with the value they must have, or with operators: `{"age": {"$gte": 18}}`; see
                `docs/reference/filters.md`.
            limit: at most so many.
            offset: skipping so many.
            refresh_ttl: whether their time starts anew; None: as the store is configured.
            order_by: `"created_at"`, `"updated_at"`, `"key"`, or a path of the value, `"value."` in front of which may be
                left out unless it is one of the three; with `"-"` in front the greatest first. Not beside a query.
            after: the `cursor` of an item that a search in the same order returned; goes on behind it, whatever was
                written or deleted since. Not beside a query.
            rank_by: how a query ranks: by what, and what else counts; see `docs/reference/search.md`.
            neighbours: with each item found come so many that were stored just before it in its namespace, and so many just
                behind; marked by `neighbour_of`, not counted in `limit`.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            ValueError: a filter, an order, a cursor or a number that cannot be right.
            NotImplementedError: `order_by`, `after`, `rank_by` or `neighbours`, for a store that has none.
        """
        op = self._search_op(
            namespace_prefix, query, filter, limit, offset, refresh_ttl, order_by, after, rank_by, neighbours
        )
        return cast("list[SearchItem]", self.batch([op])[0])

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
        """The item has this value from now on, the whole of it.

        Args:
            namespace: at least one label.
            key: made a `str`.
            value: a JSON object.
            index: paths of the value to search by; False: none; None: as the store is configured.
            ttl: minutes to live; None: for ever.
            if_version: write only if the item still has this version.
            if_absent: write only if there is no item.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            VersionConflict: another writer was first. Nothing was written.
            NotImplementedError: a `ttl`, or a condition, for a store that has none.
        """
        self._refuse_conditions(if_version, if_absent=if_absent)
        self.batch([self._put_op(namespace, key, value, index, ttl)])

    def delete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """There is no such item from now on; fine if there was none.

        Args:
            namespace: where it is filed.
            key: its name there.
            if_version: delete only if the item still has this version.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            VersionConflict: it has another version, or there is no item. Nothing was written.
            NotImplementedError: `if_version` for a store without versions.
        """
        self._refuse_conditions(if_version)
        self.batch([PutOp(check_labels(namespace), str(key), None)])

    def update(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """The item after `fn` made its new value from the present one; None if there is none then.

        This default reads, computes and writes: it does not look whether somebody else wrote in between (no compare and
        set), so of two at once one can be lost. Perdure's own stores lose none.

        Args:
            namespace: at least one label.
            key: made a `str`.
            fn: gets the value, or None if there is no item; gives the new one, or None to delete the item. Elsewhere it
                may be called several times, so it should do nothing else.

        Raises:
            InvalidNamespaceError: no item can be filed there.
        """
        where = check_namespace(namespace)
        before = self.get(where, key)
        value = _changed(before, fn)
        if value is not None:
            self.put(where, key, value)
            return self.get(where, key)
        if before is not None:
            self.delete(where, key)
        return None

    @property
    def direct(self) -> BaseStore:
        """The store past the running task: what is written through it is committed at once, and seen by all at once.

        So it isn't undone when the task fails, and is written again when the task runs again: at least once. Reads see
        committed items only. Outside of a task, and for a store that no task stages, there is no difference.
        """
        return self

    def list_namespaces(
        self,
        *,
        prefix: NamespacePath | None = None,
        suffix: NamespacePath | None = None,
        max_depth: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[tuple[str, ...]]:
        """Namespaces that hold an item, in order.

        Args:
            prefix: labels they begin with; `"*"` is any one label.
            suffix: labels they end with, likewise.
            max_depth: they are cut to so many labels, and each comes once.
            limit: at most so many.
            offset: skipping so many.

        Raises:
            InvalidNamespaceError: a label that no namespace has.
            ValueError: a number that cannot be right.
        """
        op = self._list_op(prefix, suffix, max_depth, limit, offset)
        return cast("list[tuple[str, ...]]", self.batch([op])[0])

    async def aget(
        self, namespace: tuple[str, ...], key: str, *, refresh_ttl: bool | None = None
    ) -> Item | None:
        """As `get`."""
        return cast("Item | None", (await self.abatch([self._get_op(namespace, key, refresh_ttl)]))[0])

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
        return cast("list[SearchItem]", (await self.abatch([op]))[0])

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
        await self.abatch([self._put_op(namespace, key, value, index, ttl)])

    async def adelete(self, namespace: tuple[str, ...], key: str, *, if_version: int | None = None) -> None:
        """As `delete`."""
        self._refuse_conditions(if_version)
        await self.abatch([PutOp(check_labels(namespace), str(key), None)])

    async def aupdate(self, namespace: tuple[str, ...], key: str, fn: Change) -> Item | None:
        """As `update`; `fn` is an ordinary function."""
        where = check_namespace(namespace)
        before = await self.aget(where, key)
        value = _changed(before, fn)
        if value is not None:
            await self.aput(where, key, value)
            return await self.aget(where, key)
        if before is not None:
            await self.adelete(where, key)
        return None

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
        op = self._list_op(prefix, suffix, max_depth, limit, offset)
        return cast("list[tuple[str, ...]]", (await self.abatch([op]))[0])

    # Arguments to operations, once for both colours.

    def _refuse_conditions(self, if_version: int | None, *, if_absent: bool = False) -> None:
        """Raises NotSupported for a condition that nobody here would check."""
        if if_version is not None or if_absent:
            asked = f"if_version={if_version!r}" if if_version is not None else "if_absent=True"
            raise NotSupported(
                f"{asked}: {type(self).__name__} has no versions, so nothing could be checked. Nothing was written. Leave "
                "it out, or take a store that has versions, such as InMemoryStore or SqliteStore."
            )

    def _refuse_order(self, order_by: str | None, after: str | None) -> None:
        """Raises NotSupported for an order or a cursor that nobody here would heed."""
        if not self.supports_order and (order_by is not None or after is not None):
            asked = f"order_by={order_by!r}" if order_by is not None else "after="
            raise NotSupported(
                f"{asked}: {type(self).__name__} lists in an order of its own and has no cursors. Leave it out, or take a "
                "store that has them, such as InMemoryStore or SqliteStore. A class whose `batch` heeds `order_by` and "
                "`after` of a SearchOp says so by `supports_order = True`."
            )

    def _refuse_ranking(self, rank_by: RankBy | None, neighbours: int) -> None:
        """Raises NotSupported for a ranking or neighbours that nobody here would heed."""
        if not self.supports_ranking and (rank_by is not None or neighbours):
            asked = f"neighbours={neighbours!r}" if neighbours else f"rank_by={rank_by!r}"
            raise NotSupported(
                f"{asked}: {type(self).__name__} ranks in its own way and knows no neighbours. Leave it out, or take a store "
                "that has them, such as InMemoryStore or SqliteStore. A class whose `batch` heeds `rank_by` and "
                "`neighbours` of a SearchOp says so by `supports_ranking = True`."
            )

    def _refresh(self, refresh_ttl: bool | None) -> bool:
        if refresh_ttl is not None:
            return refresh_ttl
        return True if self.ttl_config is None else self.ttl_config.get("refresh_on_read", True)

    def _get_op(self, namespace: tuple[str, ...], key: str, refresh_ttl: bool | None) -> GetOp:
        return GetOp(check_labels(namespace), str(key), self._refresh(refresh_ttl))

    def _search_op(
        self,
        prefix: tuple[str, ...],
        query: str | None,
        filter: dict[str, Any] | None,
        limit: int,
        offset: int,
        refresh_ttl: bool | None,
        order_by: str | None = None,
        after: str | None = None,
        rank_by: RankBy | None = None,
        neighbours: int = 0,
    ) -> SearchOp:
        self._refuse_order(order_by, after)
        self._refuse_ranking(rank_by, neighbours)
        refresh = self._refresh(refresh_ttl)
        return SearchOp(
            check_labels(prefix), filter, limit, offset, query, refresh, order_by, after, rank_by, neighbours
        )

    def _put_op(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None,
        ttl: float | NotProvided | None,
    ) -> PutOp:
        if ttl is NotProvided.NOT_GIVEN:
            ttl = None if self.ttl_config is None else self.ttl_config.get("default_ttl")
        elif ttl is not None and not self.supports_ttl:
            raise NotSupported(
                f"ttl={ttl!r}: this {type(self).__name__} keeps items for ever. Nothing was written. Leave ttl out, or say "
                "that items expire when you open the store: Perdure's take ttl={'default_ttl': minutes}, or ttl={}."
            )
        return PutOp(check_namespace(namespace), str(key), value, index, ttl)

    def _list_op(
        self,
        prefix: NamespacePath | None,
        suffix: NamespacePath | None,
        max_depth: int | None,
        limit: int,
        offset: int,
    ) -> ListNamespacesOp:
        conditions: list[MatchCondition] = []
        if prefix:
            conditions.append(MatchCondition("prefix", check_labels(prefix)))
        if suffix:
            conditions.append(MatchCondition("suffix", check_labels(suffix)))
        return ListNamespacesOp(tuple(conditions) or None, max_depth, limit, offset)


def _changed(before: Item | None, fn: Change) -> Mapping[str, Any] | None:
    """The new value; `fn` may spoil what it gets, which some stores hand out as they keep it."""
    return fn(None if before is None else copy.deepcopy(before.value))
