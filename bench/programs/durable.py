"""A durable step on SQLite: durability="sync", synchronous=FULL, beside one raw insert-and-commit measured right before.

Plain, with one memory write in the node, in the async face, beside a busy thread, and on a RAM disk.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from itertools import count
from typing import TypedDict

from common import IN_RAM, QUICK, RawCommits, answer, load, scratch, seconds, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(SqliteSaver,) = load("checkpoint.sqlite", "SqliteSaver")
(AsyncSqliteSaver,) = load("checkpoint.sqlite.aio", "AsyncSqliteSaver")
(SqliteStore,) = load("store.sqlite", "SqliteStore")

STEPS = 100
TIMES = 4 if QUICK else 10
names = count()


class State(TypedDict, total=False):
    n: int
    until: int


def add(state):
    return {"n": state["n"] + 1}


async def aadd(state):
    return {"n": state["n"] + 1}


def remember(state, *, store):
    n = state["n"]
    store.put(
        ("notes", "ada"), f"note {n % 10}", {"n": n, "text": "prefers tea to coffee, and the window seat"}
    )
    return {"n": n + 1}


def again(state):
    return END if state["n"] >= state["until"] else "add"


def loop(node, **places):
    graph = StateGraph(State).add_node("add", node).add_edge(START, "add")
    return graph.add_conditional_edges("add", again, ["add", END]).compile(**places)


def call(steps):
    """Input, config and durability of a run of so many steps on a thread of its own."""
    config = {**thread(next(names)), "recursion_limit": steps + 5}
    return {"input": {"n": 0, "until": steps}, "config": config, "durability": "sync"}


def pairs(raw, act, *, steps=STEPS, times=TIMES):
    """(microseconds a step, microseconds a raw commit measured right before), again and again."""
    act(steps)
    raw.run(steps)
    found = []
    for _ in range(times):
        floor = seconds(lambda: raw.run(steps)) / steps * 1e6
        found.append((seconds(lambda: act(steps)) / steps * 1e6, floor))
    return found


@contextmanager
def busy_thread():
    """One Python thread that never waits."""
    stop = False

    def work():
        while not stop:
            sum(range(1000))

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop = True
        worker.join()


def measure_blocking(place, raw):
    with SqliteSaver.from_conn_string(str(place / "plain.db")) as saver:
        graph = loop(add, checkpointer=saver)
        plain = pairs(raw, lambda steps: graph.invoke(**call(steps)))
        with busy_thread():
            busy = pairs(raw, lambda steps: graph.invoke(**call(steps)), steps=10, times=3)
    return plain, busy


def measure_memory(place, raw):
    file = str(place / "memory.db")
    with SqliteSaver.from_conn_string(file) as saver, SqliteStore.from_conn_string(file) as store:
        store.setup()
        graph = loop(remember, checkpointer=saver, store=store)
        return pairs(raw, lambda steps: graph.invoke(**call(steps)))


def measure_async(place, raw):
    with asyncio.Runner() as runner:
        opening = AsyncSqliteSaver.from_conn_string(str(place / "async.db"))
        saver = runner.run(opening.__aenter__())
        graph = loop(aadd, checkpointer=saver)
        plain = pairs(raw, lambda steps: runner.run(graph.ainvoke(**call(steps))))
        with busy_thread():
            busy = pairs(raw, lambda steps: runner.run(graph.ainvoke(**call(steps))), steps=10, times=3)
        runner.run(opening.__aexit__(None, None, None))
    return plain, busy


def measure_all(place):
    raw = RawCommits(place / "raw.db")
    plain, busy = measure_blocking(place, raw)
    memory = measure_memory(place, raw)
    awaited, awaited_busy = measure_async(place, raw)
    raw.close()
    return {
        "durable": plain,
        "durable_memory": memory,
        "durable_async": awaited,
        "durable_busy": busy,
        "durable_async_busy": awaited_busy,
    }


def measure_in_ram(place):
    raw = RawCommits(place / "raw.db")
    with SqliteSaver.from_conn_string(str(place / "plain.db")) as saver:
        graph = loop(add, checkpointer=saver)
        found = pairs(raw, lambda steps: graph.invoke(**call(steps)))
    raw.close()
    return {"durable_ram": found}


with scratch() as on_disk:
    figures = measure_all(on_disk)
if IN_RAM.is_dir():
    with scratch(IN_RAM) as in_ram:
        figures |= measure_in_ram(in_ram)
answer(**figures)
