"""Many items at once: what follows for every store from its `batch` and `abatch`.

Here: the four methods of bulk and their twins, for anybody's store. Not here: what Perdure's stores do better
(`storage/item_bulk.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast

from perdure.errors import QueryError
from perdure.store.base.items import Item, SearchItem
from perdure.store.base.ops import (
    NOT_PROVIDED,
    GetOp,
    NotProvided,
    Op,
    PutOp,
    Result,
    SearchOp,
    check_labels,
)

__all__ = ["BulkMethods", "Putting"]

T = TypeVar("T")

Putting: TypeAlias = "PutOp | tuple[tuple[str, ...], str, Mapping[str, Any] | None]"
"""An item to put: (namespace, key, value), or a `PutOp`, which says how it is found as well. A value None deletes."""
_Pages: TypeAlias = Generator[SearchOp, list[SearchItem], T]

_PAGE: Final = 1000
_FORM: Final = "give (namespace, key, value), or a PutOp"


class BulkMethods(ABC):
    """`put_many`, `get_many`, `delete_prefix`, `count`, over two methods."""

    supports_order: bool = False

    @abstractmethod
    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """The results of all operations, in their order."""

    @abstractmethod
    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """As `batch`."""

    @abstractmethod
    def _put_op(
        self,
        namespace: tuple[str, ...],
        key: str,
        value: Mapping[str, Any],
        index: Literal[False] | list[str] | None,
        ttl: float | NotProvided | None,
    ) -> PutOp:
        """A put, looked at."""

    @abstractmethod
    def _get_op(self, namespace: tuple[str, ...], key: str, refresh_ttl: bool | None) -> GetOp:
        """A get, looked at."""

    def put_many(self, items: Iterable[Putting]) -> None:
        """All of these items have these values from now on, or none has: as `put`, in one batch.

        Args:
            items: `(namespace, key, value)`, or `PutOp`s, which have `index` and `ttl` besides; a value None deletes. Of
                several for one place the last counts.

        Raises:
            InvalidNamespaceError: one cannot be filed there. Nothing was written; likewise for any other error of `put`.
            StorageError: more than 1,048,576 items, the most that one commit of Perdure's stores takes. Nothing was
                written: put them in parts.
        """
        ops = self._puts(items)
        if ops:
            self.batch(ops)

    async def aput_many(self, items: Iterable[Putting]) -> None:
        """As `put_many`."""
        ops = self._puts(items)
        if ops:
            await self.abatch(ops)

    def get_many(self, places: Iterable[tuple[tuple[str, ...], str]]) -> list[Item | None]:
        """The items at these places, in their order, all of one moment; None where there is none.

        Args:
            places: `(namespace, key)`; one may come twice.

        Raises:
            InvalidNamespaceError: no item can be filed there.
        """
        ops = self._gets(places)
        return cast("list[Item | None]", self.batch(ops)) if ops else []

    async def aget_many(self, places: Iterable[tuple[tuple[str, ...], str]]) -> list[Item | None]:
        """As `get_many`."""
        ops = self._gets(places)
        return cast("list[Item | None]", await self.abatch(ops)) if ops else []

    def delete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """How many items were deleted: all whose namespace begins with the prefix, in one batch.

        What somebody else adds there at the same moment may stay. Histories are kept: `forget` is what erases.

        Args:
            prefix: whole labels; `()` is everything.
            filter: only items that meet it; see `docs/reference/filters.md`.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            QueryError: a filter that cannot be right.
            StorageError: more than 1,048,576 items, the most that one commit of Perdure's stores takes. Nothing was
                deleted: delete by longer prefixes.
        """
        found = self._asked(_places(check_labels(prefix), filter, cursors=self.supports_order))
        if found:
            self.batch([PutOp(*place, None) for place in found])
        return len(found)

    async def adelete_prefix(self, prefix: tuple[str, ...], *, filter: dict[str, Any] | None = None) -> int:
        """As `delete_prefix`."""
        found = await self._aasked(_places(check_labels(prefix), filter, cursors=self.supports_order))
        if found:
            await self.abatch([PutOp(*place, None) for place in found])
        return len(found)

    def count(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """How many items there are whose namespace begins with the prefix.

        Args:
            prefix: whole labels; `()` is everything.
            filter: only items that meet it; then each is read.

        Raises:
            InvalidNamespaceError: no item can be filed there.
            QueryError: a filter that cannot be right.
        """
        return len(self._asked(_places(check_labels(prefix), filter, cursors=self.supports_order)))

    async def acount(self, prefix: tuple[str, ...] = (), *, filter: dict[str, Any] | None = None) -> int:
        """As `count`."""
        return len(await self._aasked(_places(check_labels(prefix), filter, cursors=self.supports_order)))

    # Arguments to operations, once for both colours.

    def _puts(self, items: Iterable[Putting]) -> list[Op]:
        return [self._putting(item) for item in items]

    def _putting(self, item: Putting) -> PutOp:
        match item:
            case PutOp(namespace, key, value, index, ttl):
                given: Any = value
                return self._put_op(namespace, key, given, index, ttl)
            case (namespace, key, value):
                given = value
                return self._put_op(namespace, key, given, None, NOT_PROVIDED)
            case _:  # untyped callers come here, too
                raise QueryError(f"{item!r}: {_FORM}. Nothing was written.", part=type(item).__name__)

    def _gets(self, places: Iterable[tuple[tuple[str, ...], str]]) -> list[Op]:
        return [self._get_op(namespace, key, None) for namespace, key in places]

    def _asked(self, pages: _Pages[T]) -> T:
        try:
            op = next(pages)
            while True:
                op = pages.send(cast("list[SearchItem]", self.batch([op])[0]))
        except StopIteration as done:
            return done.value

    async def _aasked(self, pages: _Pages[T]) -> T:
        try:
            op = next(pages)
            while True:
                op = pages.send(cast("list[SearchItem]", (await self.abatch([op]))[0]))
        except StopIteration as done:
            return done.value


def _places(
    prefix: tuple[str, ...], filter: dict[str, Any] | None, *, cursors: bool
) -> _Pages[list[tuple[tuple[str, ...], str]]]:
    """Where the items of a subtree are, by pages."""
    found: dict[tuple[tuple[str, ...], str], None] = {}
    op = SearchOp(prefix, filter, _PAGE, refresh_ttl=False)
    while page := (yield op):
        found.update(((tuple(item.namespace), item.key), None) for item in page)
        cursor = getattr(page[-1], "cursor", None) if cursors else None
        op = op._replace(offset=op.offset + len(page)) if cursor is None else op._replace(after=cursor)
    return list(found)
