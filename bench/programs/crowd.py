"""Steps a second of 200 threads that run at once in one event loop, durably, on one SQLite file."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TypedDict

from common import OURS, QUICK, answer, load, scratch, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(AsyncSqliteSaver,) = load("checkpoint.sqlite.aio", "AsyncSqliteSaver")

THREADS = 200
STEPS = 5 if QUICK else 10
TIMES = (2 if QUICK else 4) if OURS else 1  # theirs takes seconds a time


class State(TypedDict, total=False):
    n: int


async def add(state):
    return {"n": state["n"] + 1}


def again(state):
    return END if state["n"] >= STEPS else "add"


async def crowd(graph, number):
    began = perf_counter()
    runs = (
        graph.ainvoke({"n": 0}, thread(f"{number}-{which}"), durability="sync") for which in range(THREADS)
    )
    await asyncio.gather(*runs)
    return THREADS * STEPS / (perf_counter() - began)


async def main(file):
    async with AsyncSqliteSaver.from_conn_string(str(file)) as saver:
        graph = StateGraph(State).add_node("add", add).add_edge(START, "add")
        graph = graph.add_conditional_edges("add", again, ["add", END]).compile(checkpointer=saver)
        await graph.ainvoke({"n": 0}, thread("first"), durability="sync")
        return [await crowd(graph, number) for number in range(TIMES)]


with scratch() as place:
    answer(crowd=asyncio.run(main(place / "crowd.db")))
