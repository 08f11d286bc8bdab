"""A node that lists memory by cursors sees what it staged, in its place, and may go on in a later step."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kit import Colour, Log, chain, thread
from perdure import Database
from perdure.store.base import BaseStore

NOTES = ("notes",)


def fill(db: Database) -> None:
    for n, key in enumerate("abcd"):
        db.store.put(NOTES, key, {"n": n})


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("order_by", [None, "n", "-key"])
def test_a_later_step_goes_on_where_an_earlier_one_stopped(
    run: Colour, db: Database, durability: str, order_by: str | None
) -> None:
    fill(db)

    def begins(state: Log, *, store: BaseStore) -> Any:
        for n, key in ((-1, "x"), (1.5, "y"), (9, "b")):
            store.put(NOTES, key, {"n": n})
        whole = [item.key for item in store.search(NOTES, order_by=order_by, limit=99)]
        assert len(whole) == 6
        page = store.search(NOTES, order_by=order_by, limit=2)  # newest first: both are staged
        return {"log": [whole, page[-1].cursor, [item.key for item in page]]}

    def goes_on(state: Log, *, store: BaseStore) -> Any:
        rest = store.search(NOTES, order_by=order_by, limit=99, after=state["log"][1])
        return {"log": [[item.key for item in rest]]}

    graph = chain(("a", begins), ("b", goes_on)).compile(db)
    whole, _, page, rest = run.invoke(graph, {}, thread("t"), durability=durability)["log"]

    if order_by is None:  # what was staged may come again now that it is committed; nothing is left out
        assert [key for key in whole if key in {*page, *rest}] == whole
        assert rest in (whole, whole[2:])
    else:
        assert [*page, *rest] == whole


def test_a_node_walks_through_all_while_it_writes(run: Colour, db: Database) -> None:
    fill(db)

    def walks(state: Log, *, store: BaseStore) -> Any:
        store.put(NOTES, "staged", {"n": 1})
        seen: list[str] = []
        after = None
        while page := store.search(NOTES, limit=2, after=after):
            seen += [item.key for item in page]
            after = page[-1].cursor
            store.put(NOTES, f"made from {seen[-1]}", {"n": 1})
        return {"log": seen}

    assert run.invoke(chain(("a", walks)).compile(db), {}, thread("t"))["log"] == [
        "staged",
        "d",
        "c",
        "b",
        "a",
    ]
