"""Bytes in proportion to what changed: what a turn writes does not grow with the thread."""

from __future__ import annotations

import operator
from typing import Annotated, Any, TypedDict

import perdure
import perdure.database
from perdure.engine.headcache import HEADS
from perdure.graph import START, StateGraph


class Talk(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


def answers(talk: Talk) -> Talk:
    return {"said": [f"answer {len(talk['said'])} " + "and so on " * 40]}


def written_by_a_turn(graph: Any, db: perdure.database.Database) -> int:
    """Bytes of the segments that a turn adds, whether or not it removes others."""
    thread = {"configurable": {"thread_id": "t"}}
    before = segments(db)
    graph.invoke({"said": ["question " + "why is it so " * 40]}, thread, durability="sync")
    return sum(size for start, size in segments(db).items() if before.get(start) != size)


def segments(db: perdure.database.Database) -> dict[tuple[int, int], int]:
    with db.backend.read() as snapshot:
        rows = [row for log, end in snapshot.logs("t") for row in snapshot.segments("t", log, end)]
    return {(row.log, row.start): len(row.payload) for row in rows}


def test_a_turn_writes_what_it_adds_however_long_the_thread_is() -> None:
    with perdure.connect("memory://") as db:
        graph = StateGraph(Talk).add_node("answers", answers).add_edge(START, "answers").compile(db)

        sizes = [written_by_a_turn(graph, db) for _ in range(150)]

        assert sum(sizes[100:]) < 1.5 * sum(sizes[:50])


def test_a_turn_after_the_thread_was_read_anew_writes_no_more() -> None:
    with perdure.connect("memory://") as db:
        graph = StateGraph(Talk).add_node("answers", answers).add_edge(START, "answers").compile(db)
        for _ in range(100):
            written_by_a_turn(graph, db)
        HEADS.clear()

        assert (
            written_by_a_turn(graph, db) < 2000
        )  # sealed segments stay as they are, however small they came out
