"""x"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from perdure.storage.item_store import ItemStore
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import SqliteStore
from perdure.store.swept import SweptStore
from perdure.testing import nearby


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.fixture(params=["memory", "sqlite-file", "sqlite-memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SweptStore]:
    path = str(tmp_path / "near.db") if request.param == "sqlite-file" else ":memory:"
    made: AbstractContextManager[SweptStore] = (
        InMemoryStore(ttl={}) if request.param == "memory" else SqliteStore.from_conn_string(path, ttl={})
    )
    with made as opened:
        yield opened


@pytest.mark.parametrize("check", nearby.NEARBY_CHECKS, ids=name)
def test_neighbours_come_along(check: Callable[[ItemStore], None], store: SweptStore) -> None:
    check(store)


@pytest.mark.parametrize("check", nearby.ASYNC_NEARBY_CHECKS, ids=name)
async def test_neighbours_come_along_in_the_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: SweptStore
) -> None:
    await check(store)
