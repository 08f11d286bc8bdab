"""A program that counts in memory: so many `Send`s of one step each add one to the same item."""

from __future__ import annotations

import argparse
from typing import Any

from crash.kit import url_of_place
from crash.nursery import serve
from crash.program import Counting, State, checked_chains, one_more, thread
from perdure import Database, connect
from perdure.graph import START, StateGraph
from perdure.testing.crash import CrashingBackend
from perdure.types import Send


def add(piece: dict[str, Any], *, store: Any) -> State:
    store.update(("counts",), "all", one_more)
    return {"total": 1}


def drawn(number: int) -> StateGraph[Any]:
    """A graph that fans out into `number` tasks."""
    drawing: Any = StateGraph(State).add_node("add", add)
    return drawing.add_conditional_edges(
        START, lambda state: [Send("add", {}) for _ in range(number)], ["add"]
    )


def count(db: Database, name: str, number: int, durability: str = "sync") -> int:
    """Runs, or goes on with, the thread; what is counted in memory then."""
    graph = drawn(number).compile(db)
    while True:
        state = graph.get_state(thread(name))
        if state.created_at is not None and not state.next:
            assert state.values["total"] == number
            item = db.store.get(("counts",), "all")
            assert item is not None
            return item.value["n"]
        given = {"total": 0} if state.created_at is None else None
        graph.invoke(given, thread(name), durability=durability)


def main(arguments: list[str]) -> dict[str, Any]:
    """Counts, in a file or wherever the URL says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place", help="a file, or a URL")
    parser.add_argument("--thread", default="t")
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--durability", default="sync")
    parser.add_argument("--kill", choices=("before", "after"), default="before")
    parser.add_argument("--at", type=int, default=0)
    given = parser.parse_args(arguments)
    with connect(url_of_place(given.place)) as db:
        counting: Any = Counting(db.backend)
        if given.at:
            counting = CrashingBackend(db.backend, given.at, given.kill)
        db.replace_backend(counting)
        counted = count(db, given.thread, given.number, given.durability)
        with db.backend.read() as snapshot:
            versions = len(snapshot.changes(None, 1 << 30))
        return {"counted": counted, "versions": versions, "checkpoints": checked_chains(db)}


if __name__ == "__main__":
    serve(main)
