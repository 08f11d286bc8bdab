"""`store.direct`: the way past the step, for a write that must be seen at once."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kit import Colour, Log, chain, fan, thread
from perdure import Database
from perdure.config import get_store
from perdure.runtime import Runtime
from perdure.store.base import BaseStore

NOTES = ("notes",)


def test_what_was_written_directly_stands_and_what_was_staged_does_not(run: Colour, db: Database) -> None:
    def fails(state: Log, *, store: BaseStore) -> None:
        store.put(NOTES, "staged", {"n": 1})
        store.direct.put(NOTES, "direct", {"n": 1})
        raise OSError("boom")

    with pytest.raises(OSError, match="boom"):
        run.invoke(chain(("a", fails)).compile(db), {}, thread("t"))

    assert [item.key for item in db.store.search(NOTES)] == ["direct"]


@pytest.mark.parametrize("reach", ["injected", "runtime", "get_store", "global"])
def test_it_is_seen_at_once_however_the_store_is_reached(run: Colour, db: Database, reach: str) -> None:
    seen: list[Any] = []

    def writes(state: Log, *, store: BaseStore, runtime: Runtime[Any]) -> None:
        ways: dict[str, Any] = {
            "injected": store, "runtime": runtime.store, "get_store": get_store(), "global": db.store
        }  # fmt: skip
        ways[reach].direct.update(NOTES, "k", lambda value: {"n": 1})
        seen.append(db.store.direct.get(NOTES, "k"))
        assert store.get(NOTES, "k") is not None  # committed, so the task sees it, too

    run.invoke(chain(("a", writes)).compile(db), {}, thread("t"))

    assert seen[0].value == {"n": 1}


def test_it_does_not_see_what_the_task_has_staged(run: Colour, db: Database) -> None:
    def node(state: Log, *, store: BaseStore) -> Log:
        store.put(NOTES, "k", {"n": 1})
        return {"log": [store.direct.get(NOTES, "k")]}

    assert run.invoke(fan(("a", node)).compile(db), {}, thread("t"))["log"] == [None]
