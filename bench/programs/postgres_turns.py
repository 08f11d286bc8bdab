"""A thread on Postgres whose list of messages grows by 1 KB of text a turn, durability="sync".

`python postgres_turns.py LIBRARY TURNS`. Bytes are those of all tables with their indexes, as the server keeps them.
"""

from __future__ import annotations

import operator
import random
import sys
from statistics import median
from typing import Annotated, TypedDict

import psycopg
from common import REPOSITORY, answer, load, postgres, seconds, thread

StateGraph, START = load("graph", "StateGraph", "START")
(PostgresSaver,) = load("checkpoint.postgres", "PostgresSaver")

TURNS = int(sys.argv[2])
PART = 512  # bytes of a message; a turn has two
PAIRS = 20
WORDS = (REPOSITORY / "src/perdure/demo/hamlet.txt").read_text(encoding="utf-8-sig").split()
chance = random.Random(1)

SIZES = """
SELECT c.relname, pg_total_relation_size(c.oid)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
"""


def content():
    words, length = [], 0
    while length < PART:
        words.append(chance.choice(WORDS))
        length += len(words[-1].encode()) + 1
    return " ".join(words).encode()[:PART].decode(errors="ignore")


class State(TypedDict, total=False):
    messages: Annotated[list[dict], operator.add]


def chat(_):
    return {"messages": [{"role": "ai", "content": content()}]}


def turn(graph, name):
    """Milliseconds."""
    question = {"messages": [{"role": "human", "content": content()}]}
    return seconds(lambda: graph.invoke(question, thread(name), durability="sync")) * 1e3


def main():
    with postgres() as url, PostgresSaver.from_conn_string(url) as saver:
        saver.setup()
        graph = StateGraph(State).add_node("chat", chat).add_edge(START, "chat").compile(checkpointer=saver)
        for _ in range(TURNS - PAIRS):
            turn(graph, "long")
        last = [turn(graph, "long") for _ in range(PAIRS)]
        with psycopg.connect(url) as db:
            sizes = dict(db.execute(SIZES).fetchall())
        for _ in range(100 - PAIRS // 2):
            turn(graph, "short")
        short = [turn(graph, "short") for _ in range(PAIRS)]
        assert len(graph.get_state(thread("long")).values["messages"]) == 2 * TURNS
        return {
            "turns": TURNS,
            "bytes": sum(sizes.values()),
            "raw_bytes": TURNS * 2 * PART,
            "bytes_per_table": sizes,
            "turn_last": median(last),
            "turn_100": median(short),
        }


answer(**main())
