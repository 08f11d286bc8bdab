"""x"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from perdure.storage.item_store import ItemStore
from perdure.store.face import BackendStore
from perdure.testing import ranked, reranked


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", [*ranked.RANKED_CHECKS, *reranked.RERANKED_CHECKS], ids=name)
def test_a_search_ranks(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", [*ranked.ASYNC_RANKED_CHECKS, *reranked.ASYNC_RERANKED_CHECKS], ids=name)
async def test_a_search_ranks_in_the_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)
