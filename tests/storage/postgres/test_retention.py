"""What is old goes in small commits, while programs write: none of them fails, and each gets on in between."""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import perdure
from perdure import admin
from perdure.graph import START, StateGraph
from perdure.storage import sweeping
from perdure.storage.postgres import PostgresBackend
from under_load import Load


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def test_pruning_sweeping_and_programs_go_on_beside_each_other(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admin.pruning, "BATCH", 20)
    monkeypatch.setattr(sweeping, "BATCH", 20)
    with (
        perdure.connect(postgres_url, ttl={}, keep_history="all") as db,
        perdure.Database(
            postgres_url, PostgresBackend(postgres_url), cipher=None, keep_history="all", ttl={}
        ) as keeper,
    ):
        graph: Any = (
            StateGraph(State).add_node("n", lambda state: {"log": ["b"]}).add_edge(START, "n").compile(db)
        )

        def step(who: str) -> Any:
            return lambda number: graph.invoke(
                {"log": ["a"]}, {"configurable": {"thread_id": f"{who}{number % 3}"}}
            )

        def write(who: str) -> Any:
            return lambda number: db.store.put((who,), str(number % 5), {"n": number})

        for number in range(120):
            db.store.put(("old",), str(number % 4), {"n": number})
            db.store.put(("short",), str(number), {"n": number}, ttl=0.0001)
        swept = 0
        with Load(write("x"), write("y"), step("t"), step("u")) as load:
            for _ in range(3):
                load.gets_on()
                gone = admin.prune(
                    keeper,
                    older_than=timedelta(0),
                    keep=1,
                    progress=lambda what, done: load.gets_on(1) if what == "versions" else None,
                )
                assert gone.versions > 0
                swept += keeper.store.sweep_ttl()
            load.gets_on()

    with perdure.connect(postgres_url) as db:
        assert swept == 120
        assert db.store.search(("short",), limit=200) == []
        assert {item.value["n"] for item in db.store.search(("old",))} == {116, 117, 118, 119}
        assert admin.check(db) == []
