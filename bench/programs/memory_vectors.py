"""Search by vectors: 100,000 items of 128 dimensions in 1,000 namespaces; the best ten of one, and of all.

`python memory_vectors.py LIBRARY memory|sqlite`. The model is a table of random vectors, so that nothing but the store is
timed. A search of ours is checked against exact cosine. Theirs on SQLite loads an extension: where this Python's module
was built without that, it runs with `pysqlite3`, a newer SQLite.
"""

from __future__ import annotations

import importlib
import re
import sqlite3
import sys
from itertools import count

import numpy as np
from common import OURS, QUICK, answer, load, scratch, seconds

BACKEND = sys.argv[2]
DIMS, SPACES, EACH = 128, 100 if QUICK else 1000, 100
ONE_TIMES, ALL_TIMES = 50 if QUICK else 300, 3 if QUICK else 12
(PutOp,) = load("store.base", "PutOp")

drawn = np.random.default_rng(7)
TABLE = drawn.standard_normal((SPACES * EACH, DIMS), dtype="f4")
ASKED = drawn.standard_normal((1000, DIMS), dtype="f4")


def embed(texts):
    return [(ASKED if text[0] == "q" else TABLE)[number(text)].tolist() for text in texts]


def number(text):
    """Of `t12`, or of a whole value as JSON: their store for SQLite does not heed `fields`."""
    return int(re.search(r"[qt](\d+)", text)[1])


INDEX = {"dims": DIMS, "embed": embed, "fields": ["text"]}
if OURS:
    INDEX["text"] = False


def place(number):
    return ("users", f"u{number // EACH}", "notes")


def fill(store):
    whole = SPACES * EACH
    for start in range(0, whole, 1000):
        store.batch(
            [
                PutOp(place(n), f"k{n}", {"text": f"t{n}", "n": n})
                for n in range(start, min(start + 1000, whole))
            ]
        )


def measure(store):
    fill(store)
    questions = count()

    def ask(prefix):
        return store.search(prefix, query=f"q{next(questions) % len(ASKED)}", limit=10)

    spaces = [place(int(space) * EACH) for space in drawn.permutation(SPACES)[:ONE_TIMES]]
    spaces = (spaces * ONE_TIMES)[:ONE_TIMES]
    for space in spaces:  # as in the second hour of use
        ask(space)
    one = [seconds(lambda space=space: ask(space)) * 1e6 for space in spaces]
    ask(("users",))
    several = [seconds(lambda: ask(("users",))) * 1e3 for _ in range(ALL_TIMES)]
    check(store)
    return {f"vectors_one_{BACKEND}": one, f"vectors_all_{BACKEND}": several}


def check(store):
    alike = TABLE @ ASKED[0] / np.linalg.norm(TABLE, axis=1)
    best = [f"k{n}" for n in np.argsort(-alike)[:10]]
    assert [item.key for item in store.search(("users",), query="q0", limit=10)] == best


def main():
    if BACKEND == "memory":
        (InMemoryStore,) = load("store.memory", "InMemoryStore")
        return measure(InMemoryStore(index=INDEX))
    if not OURS and not loads_extensions():
        why = "theirs loads an extension of SQLite, which this Python was built without, and there is no pysqlite3"
        return {"not_measured": {"figures": ["vectors_one_sqlite", "vectors_all_sqlite"], "why": why}}
    (SqliteStore,) = load("store.sqlite", "SqliteStore")
    with scratch() as where, SqliteStore.from_conn_string(str(where / "v.db"), index=INDEX) as store:
        store.setup()
        return measure(store)


def loads_extensions():
    """Whether `sqlite3`, as modules imported from now on see it, does."""
    if not hasattr(sqlite3.Connection, "enable_load_extension"):
        try:
            sys.modules["sqlite3"] = importlib.import_module("pysqlite3")
        except ImportError:
            return False
    return True


answer(**main())
