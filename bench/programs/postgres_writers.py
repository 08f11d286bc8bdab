"""How durable steps scale with writers on Postgres: 1 to 16 processes, each running a thread after another.

`python postgres_writers.py LIBRARY`; it calls itself with `work URL` for each writer.
"""

from __future__ import annotations

import subprocess
import sys
from time import perf_counter, time  # noqa: TID251 - the clock that all processes share
from typing import TypedDict
from uuid import uuid4

from common import QUICK, answer, load, postgres, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(PostgresSaver,) = load("checkpoint.postgres", "PostgresSaver")

SECONDS = 1.5 if QUICK else 5.0
STEPS = 20
WRITERS = (1, 4) if QUICK else (1, 2, 4, 8, 16)


class State(TypedDict, total=False):
    n: int


def add(state):
    return {"n": state["n"] + 1}


def again(state):
    return END if state["n"] >= STEPS else "add"


def work(url, begin):
    """Steps a second, from the moment `begin` on, which is the same for all writers."""
    with PostgresSaver.from_conn_string(url) as saver:
        graph = StateGraph(State).add_node("add", add).add_edge(START, "add")
        graph = graph.add_conditional_edges("add", again, ["add", END]).compile(checkpointer=saver)

        def run():
            graph.invoke({"n": 0}, thread(uuid4()), durability="sync")

        run()
        while time() < begin:
            run()
        began, runs = perf_counter(), 0
        while perf_counter() - began < SECONDS:
            run()
            runs += 1
        return runs * STEPS / (perf_counter() - began)


def writers(url, number):
    begin = str(time() + 1.5 + 0.5 * number)
    command = [sys.executable, __file__, sys.argv[1], "work", url, begin]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(number)]
    told = [process.communicate()[0] for process in started]
    if any(process.returncode for process in started):
        raise SystemExit("a writer failed")
    return sum(map(float, told))


def main():
    with postgres() as url:
        with PostgresSaver.from_conn_string(url) as saver:
            saver.setup()
        found = {str(number): writers(url, number) for number in WRITERS}
        return {"writers": found, "pg_writers": [found[str(WRITERS[-1])]]}


if len(sys.argv) > 2:
    print(work(sys.argv[3], float(sys.argv[4])))
else:
    answer(**main())
