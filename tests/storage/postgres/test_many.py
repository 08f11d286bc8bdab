"""What a snapshot answers for many at once is what it answers one by one, in one round trip each."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import perdure
from perdure import admin
from perdure.graph import START, StateGraph
from perdure.storage.contract import ManyAnswers, Revision
from perdure.testing.proxy import Direction, Proxy
from perdure.types import interrupt


class State(TypedDict, total=False):
    log: Annotated[list[str], operator.add]


def fill(db: perdure.Database) -> None:
    """Items with pasts, ends and deletions; threads with logs, runs, and memory staged in a step that waits."""
    for number in range(3):
        for key in ("a", "b\0", "\ud800"):
            db.store.put(("notes", f"n{number}"), key, {"n": number})
    db.store.put(("notes", "n1"), "a", {"n": 7}, ttl=5)
    db.store.delete(("notes", "n2"), "a")

    def remember(state: State, *, store: Any) -> State:
        store.put(("staged",), "k", {"n": len(state["log"])})
        return {"log": ["remembered"]}

    def ask(state: State) -> State:
        return {"log": [interrupt("go on?")]}

    graph: Any = StateGraph(State).add_node("remember", remember).add_node("ask", ask)
    graph = graph.add_edge(START, "remember").add_edge(START, "ask").compile(db)
    for name in ("t0", "t1"):
        for _ in range(2):
            graph.invoke({"log": ["hello"]}, {"configurable": {"thread_id": name}})


def test_many_answers_are_those_of_one_by_one(postgres_url: str) -> None:
    with perdure.connect(postgres_url, ttl={}) as db:
        fill(db)
        with db.backend.read() as now:
            assert isinstance(now, ManyAnswers)
            places = [
                *now.touched((), Revision(0, 0), None), (("nobody",), "x"), (("notes", "n0"), "x"),
            ]  # fmt: skip
            revisions = [Revision(0, seq) for seq in range(12)]
            assert now.histories(places) == [now.history(*place, 1 << 30).versions for place in places]
            assert max(map(len, now.histories(places))) > 1
            assert now.items_at_places(places) == [now.item(*place) for place in places]
            assert None in now.items_at_places(places)
            assert now.times_of(revisions) == [now.time_of(revision) for revision in revisions]
            assert now.histories([]) == now.items_at_places([]) == now.times_of([]) == []
            for thread in ("t0", "t1", "nobody"):
                rows = now.checkpoints(thread, None, None, None)
                chained = [(thread, row.ns, row.id) for row in rows]
                staged = {place: now.staged(*place) for place in chained if now.staged(*place)}
                assert now.staged_of(chained) == staged
                assert bool(staged) is (thread != "nobody")
                logs = now.logs(thread)
                segments = [row for log, _ in sorted(logs) for row in now.segments(thread, log, 1 << 32)]
                assert now.segments_of(thread) == segments
                runs = sorted({row.run for row in rows if row.run is not None})
                assert now.runs_of(thread, [*runs, "nobody's"]) == [now.run(thread, id) for id in runs]


def test_a_copy_of_many_items_takes_few_round_trips(postgres_url: str) -> None:
    """Counted, not timed: how often the client has spoken through the proxy."""
    spoken = 0

    def count(direction: Direction, piece: bytes) -> bytes:
        nonlocal spoken
        spoken += direction == "to server"
        return piece

    with perdure.connect(postgres_url, keep_history="all") as db:
        for space in range(10):
            db.store.put_many([(("notes", str(space)), f"k{n}", {"n": n}) for n in range(40)])
    with (
        Proxy.of(postgres_url, rewrite=count) as proxy,
        perdure.connect(proxy.through(postgres_url), keep_history="all") as source,
        perdure.connect("memory://", keep_history="all") as target,
    ):
        begun = spoken
        assert admin.copy(source, target).items == 400
        assert begun < spoken < begun + 150, "a trip an item would be 400 and more"
