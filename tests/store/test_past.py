"""Our stores tell of their past and take back, as the suite that we ship has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from perdure.storage.item_store import ItemStore
from perdure.store.face import BackendStore
from perdure.testing import store_past


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.mark.parametrize("check", store_past.PAST_CHECKS, ids=name)
def test_a_store_knows_its_past(check: Callable[[ItemStore], None], store: BackendStore) -> None:
    check(store)


@pytest.mark.parametrize("check", store_past.ASYNC_PAST_CHECKS, ids=name)
async def test_a_store_knows_its_past_in_its_other_colour(
    check: Callable[[ItemStore], Awaitable[None]], store: BackendStore
) -> None:
    await check(store)
