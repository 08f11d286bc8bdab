"""A thread on Postgres whose list of messages grows by 1 KB of text a turn, durability="sync".

`python postgres_turns.py LIBRARY TURNS`. Bytes are what all tables with their indexes grow by, as the server's files have
them. Measured twice: in a database that was empty, before any vacuum; and for a second thread like the first, after a
vacuum, so in the room that the first one's dead rows left. The latter is what a thread takes in a database in use. The
server's own vacuum, which comes once a minute, is off meanwhile: else it would be chance that says what is reused.
"""

from __future__ import annotations

import operator
import random
import sys
from contextlib import contextmanager
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


class Growth:
    """Bytes that each table grew by since this was asked last."""

    def __init__(self, db):
        self._db = db
        self._sizes = {}
        self.next()

    def next(self):
        before, self._sizes = self._sizes, dict(self._db.execute(SIZES).fetchall())
        return {name: size - before.get(name, 0) for name, size in self._sizes.items()}


@contextmanager
def unvacuumed(db):
    db.execute("ALTER SYSTEM SET autovacuum = off")
    db.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        db.execute("ALTER SYSTEM RESET autovacuum")
        db.execute("SELECT pg_reload_conf()")


def main():
    with (
        postgres() as url,
        PostgresSaver.from_conn_string(url) as saver,
        psycopg.connect(url, autocommit=True) as db,
        unvacuumed(db),
    ):
        saver.setup()
        graph = StateGraph(State).add_node("chat", chat).add_edge(START, "chat").compile(checkpointer=saver)
        growth = Growth(db)
        for _ in range(TURNS - PAIRS):
            turn(graph, "long")
        last = [turn(graph, "long") for _ in range(PAIRS)]
        first = growth.next()
        db.execute("VACUUM")
        growth.next()
        for _ in range(TURNS):
            turn(graph, "second")
        second = growth.next()
        for _ in range(100 - PAIRS // 2):
            turn(graph, "short")
        short = [turn(graph, "short") for _ in range(PAIRS)]
        assert len(graph.get_state(thread("long")).values["messages"]) == 2 * TURNS
        return {
            "turns": TURNS,
            "bytes": sum(first.values()),
            "bytes_in_use": sum(second.values()),
            "raw_bytes": TURNS * 2 * PART,
            "bytes_per_table": first,
            "bytes_in_use_per_table": second,
            "turn_last": median(last),
            "turn_100": median(short),
        }


answer(**main())
