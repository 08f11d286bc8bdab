"""Durable steps on Postgres: one after the other beside raw insert-and-commits, and 200 threads at once in one event loop.

The raw commit is a row of 300 bytes by psycopg, in autocommit, on a connection of the same settings.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from time import perf_counter
from typing import TypedDict

import psycopg
from common import OURS, QUICK, answer, load, postgres, seconds, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(PostgresSaver,) = load("checkpoint.postgres", "PostgresSaver")
(AsyncPostgresSaver,) = load("checkpoint.postgres.aio", "AsyncPostgresSaver")
(PostgresStore,) = load("store.postgres", "PostgresStore")

STEPS = 100
TIMES = 4 if QUICK else 10
THREADS, THREAD_STEPS = 200, 5 if QUICK else 10
CROWDS = 2 if QUICK else 4
CONNECTIONS = 20
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
    text = "prefers tea to coffee, and the window seat"
    store.put(("notes", "ada"), f"note {n % 10}", {"n": n, "text": text})
    return {"n": n + 1}


def again(state):
    return END if state["n"] >= state["until"] else "add"


def loop(node, **places):
    graph = StateGraph(State).add_node("add", node).add_edge(START, "add")
    return graph.add_conditional_edges("add", again, ["add", END]).compile(**places)


def call(steps):
    config = {**thread(next(names)), "recursion_limit": steps + 5}
    return {"input": {"n": 0, "until": steps}, "config": config, "durability": "sync"}


class RawCommits:
    def __init__(self, url):
        self._db = psycopg.connect(url, autocommit=True)
        self._db.execute("CREATE TABLE raw (id bigserial PRIMARY KEY, value bytea)")

    def run(self, number):
        row = (bytes(300),)
        for _ in range(number):
            self._db.execute("INSERT INTO raw (value) VALUES (%s)", row)

    def close(self):
        self._db.close()


def pairs(raw, act):
    """(microseconds a step, microseconds a raw commit measured right before), again and again."""
    act(STEPS)
    raw.run(STEPS)
    found = []
    for _ in range(TIMES):
        floor = seconds(lambda: raw.run(STEPS)) / STEPS * 1e6
        found.append((seconds(lambda: act(STEPS)) / STEPS * 1e6, floor))
    return found


def blocking(url, raw):
    with PostgresSaver.from_conn_string(url) as saver, PostgresStore.from_conn_string(url) as store:
        saver.setup()
        store.setup()
        plain, remembering = loop(add, checkpointer=saver), loop(remember, checkpointer=saver, store=store)
        return {
            "pg_step": pairs(raw, lambda steps: plain.invoke(**call(steps))),
            "pg_step_memory": pairs(raw, lambda steps: remembering.invoke(**call(steps))),
        }


@asynccontextmanager
async def opened(url):
    """Ours has a pool of its own; theirs is given one, which is its fastest form."""
    if OURS:
        async with AsyncPostgresSaver.from_conn_string(url) as saver:
            yield saver
        return
    from psycopg.rows import dict_row
    from psycopg_pool import AsyncConnectionPool

    settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(url, min_size=CONNECTIONS, max_size=CONNECTIONS, kwargs=settings) as pool:
        yield AsyncPostgresSaver(pool)


async def crowd(graph, number):
    began = perf_counter()
    calls = (
        graph.ainvoke({"n": 0, "until": THREAD_STEPS}, thread(f"crowd {number}-{which}"), durability="sync")
        for which in range(THREADS)
    )
    await asyncio.gather(*calls)
    return THREADS * THREAD_STEPS / (perf_counter() - began)


def awaiting(url, raw):
    with asyncio.Runner() as runner:
        opening = opened(url)
        saver = runner.run(opening.__aenter__())
        runner.run(saver.setup())
        graph = loop(aadd, checkpointer=saver)
        alone = pairs(raw, lambda steps: runner.run(graph.ainvoke(**call(steps))))
        runner.run(crowd(graph, "first"))
        crowds = [runner.run(crowd(graph, number)) for number in range(CROWDS)]
        runner.run(opening.__aexit__(None, None, None))
    return {"pg_step_async": alone, "pg_crowd": crowds}


def main():
    with postgres() as url:
        raw = RawCommits(url)
        figures = {**blocking(url, raw), **awaiting(url, raw)}
        raw.close()
        return figures


answer(**main())
