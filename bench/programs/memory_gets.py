"""`get` of items, one at a time: 10,000 items of about 100 bytes in 100 namespaces, asked in no order.

`python memory_gets.py LIBRARY memory|sqlite`.
"""

from __future__ import annotations

import random
import sys

from common import QUICK, answer, load, microseconds, scratch

BACKEND = sys.argv[2]
ITEMS, EACH, TIMES = 10_000, 1000, 5 if QUICK else 20
(PutOp,) = load("store.base", "PutOp")
drawn = random.Random(7)


def place(number):
    return ("users", f"u{number % 100}", "notes"), f"k{number}"


def measure(store):
    for start in range(0, ITEMS, 1000):
        store.batch(
            [
                PutOp(
                    *place(n),
                    {"n": n, "text": "prefers tea to coffee, and the window seat", "tags": ["a", "b"]},
                )
                for n in range(start, start + 1000)
            ]
        )
    asked = [place(drawn.randrange(ITEMS)) for _ in range(EACH)]

    def run():
        for namespace, key in asked:
            if store.get(namespace, key) is None:
                raise AssertionError(key)

    return {f"get_{BACKEND}": microseconds(run, times=TIMES, each=EACH)}


def main():
    if BACKEND == "memory":
        (InMemoryStore,) = load("store.memory", "InMemoryStore")
        return measure(InMemoryStore())
    (SqliteStore,) = load("store.sqlite", "SqliteStore")
    with scratch() as where, SqliteStore.from_conn_string(str(where / "g.db")) as store:
        store.setup()
        return measure(store)


answer(**main())
