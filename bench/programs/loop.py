"""A step of a loop of 100 in memory, and a whole invoke of a graph of one step: blocking and async, saver or none."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TypedDict

from common import QUICK, answer, load, microseconds, seconds, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(InMemorySaver,) = load("checkpoint.memory", "InMemorySaver")

STEPS = 100
TIMES = 3 if QUICK else 8


class State(TypedDict, total=False):
    n: int


def add(state):
    return {"n": state["n"] + 1}


async def aadd(state):
    return {"n": state["n"] + 1}


def again(state):
    return END if state["n"] >= STEPS else "add"


def loop(node, saver):
    graph = StateGraph(State).add_node("add", node).add_edge(START, "add")
    return graph.add_conditional_edges("add", again, ["add", END]).compile(checkpointer=saver)


def once(saver):
    return StateGraph(State).add_node("add", add).add_edge(START, "add").compile(checkpointer=saver)


def limited(config):
    return {**(config or {}), "recursion_limit": STEPS + 5}


names = count()
NEXT = {"saver": lambda: thread(next(names)), "none": lambda: None}  # a new thread for every run


def blocking(kind):
    graph, config = loop(add, InMemorySaver() if kind == "saver" else None), NEXT[kind]
    return microseconds(lambda: graph.invoke({"n": 0}, limited(config())), times=TIMES, each=STEPS)


def awaited(kind):
    graph, config = loop(aadd, InMemorySaver() if kind == "saver" else None), NEXT[kind]
    with asyncio.Runner() as runner:
        runner.run(graph.ainvoke({"n": 0}, limited(config())))

        async def timed():
            loop = asyncio.get_running_loop()
            began = loop.time()
            await graph.ainvoke({"n": 0}, limited(config()))
            return (loop.time() - began) / STEPS * 1e6

        return [runner.run(timed()) for _ in range(TIMES)]


def whole(kind):
    graph, config = once(InMemorySaver() if kind == "saver" else None), NEXT[kind]

    def some():
        for _ in range(20):
            graph.invoke({"n": 0}, config())

    some()
    return [seconds(some) / 20 * 1e6 for _ in range(TIMES)]


answer(
    loop_sync_saver=blocking("saver"),
    loop_sync_none=blocking("none"),
    loop_async_saver=awaited("saver"),
    loop_async_none=awaited("none"),
    invoke_saver=whole("saver"),
    invoke_none=whole("none"),
)
