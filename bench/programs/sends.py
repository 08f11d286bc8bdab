"""1,000 `Send`s in one step, per task: with the saver in memory, and with none."""

from __future__ import annotations

import operator
from itertools import count
from typing import Annotated, TypedDict

from common import QUICK, answer, load, microseconds, thread

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
(InMemorySaver,) = load("checkpoint.memory", "InMemorySaver")
(Send,) = load("types", "Send")

SENDS = 1000
TIMES = 2 if QUICK else 5
names = count()


class State(TypedDict, total=False):
    found: Annotated[list[int], operator.add]


def fan_out(_):
    return [Send("work", {"n": n}) for n in range(SENDS)]


def work(task):
    return {"found": [task["n"]]}


def measure(saver):
    graph = StateGraph(State).add_node("work", work).add_conditional_edges(START, fan_out, ["work"])
    graph = graph.compile(checkpointer=saver)

    def run():
        state = graph.invoke({"found": []}, None if saver is None else thread(next(names)))
        assert state["found"] == list(range(SENDS))

    return microseconds(run, times=TIMES, each=SENDS)


answer(sends_saver=measure(InMemorySaver()), sends_none=measure(None))
