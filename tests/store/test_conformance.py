"""Our stores pass the suite that we ship; so does somebody's smallest store over ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

import pytest

from perdure.storage.item_store import ItemStore
from perdure.store.base import BaseStore, Op, Result
from perdure.store.base.batch import AsyncBatchedBaseStore
from perdure.store.face import BackendStore
from perdure.store.memory import InMemoryStore
from perdure.testing import bulk, listings, stores

CHECKS = (*stores.CHECKS, *listings.FILTER_CHECKS, *listings.LISTING_CHECKS, *bulk.BULK_CHECKS)
ASYNC_CHECKS = (*stores.ASYNC_CHECKS, *listings.ASYNC_LISTING_CHECKS, *bulk.ASYNC_BULK_CHECKS)


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", CHECKS, ids=name)
def test_a_store_conforms(check: Callable[[BaseStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", ASYNC_CHECKS, ids=name)
async def test_a_store_conforms_in_its_other_colour(
    check: Callable[[BaseStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)


@pytest.mark.parametrize("check", stores.VERSION_CHECKS, ids=name)
def test_a_store_keeps_versions(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", stores.ASYNC_VERSION_CHECKS, ids=name)
async def test_a_store_keeps_versions_in_its_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)


class Wrapped:
    """A store that has nothing but the two methods one has to write."""

    supports_order = True

    def __init__(self) -> None:
        self.inner = InMemoryStore()
        self.sent: list[list[Op]] = []

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        return self.inner.batch(ops)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        self.sent.append(list(ops))
        return await self.inner.abatch(self.sent[-1])


class Smallest(Wrapped, BaseStore): ...


class Batched(Wrapped, AsyncBatchedBaseStore): ...


@pytest.mark.parametrize("kind", [Smallest, Batched])
@pytest.mark.parametrize("check", CHECKS, ids=name)
def test_two_methods_make_a_store(check: Callable[[BaseStore], None], kind: type[BaseStore]) -> None:
    check(kind())


@pytest.mark.parametrize("kind", [Smallest, Batched])
@pytest.mark.parametrize("check", ASYNC_CHECKS, ids=name)
async def test_two_methods_make_a_store_in_both_colours(
    check: Callable[[BaseStore], Awaitable[None]], kind: type[BaseStore]
) -> None:
    await check(kind())
