"""Search by vectors on Postgres: 100,000 items of 128 dimensions in 1,000 namespaces; the best ten of one, of all, under a filter.

The model is a table of random vectors, so that nothing but the store is timed. Recall is told against exact cosine.
"""

from __future__ import annotations

from itertools import count
from time import perf_counter

import numpy as np
from common import OURS, QUICK, answer, load, postgres, seconds

DIMS, SPACES, EACH = 128, 100 if QUICK else 1000, 100
ONE_TIMES, ALL_TIMES = 30 if QUICK else 200, 3 if QUICK else 10
(PutOp,) = load("store.base", "PutOp")
(PostgresStore,) = load("store.postgres", "PostgresStore")

drawn = np.random.default_rng(7)
TABLE = drawn.standard_normal((SPACES * EACH, DIMS), dtype="f4")
ASKED = drawn.standard_normal((1000, DIMS), dtype="f4")


def embed(texts):
    return [(ASKED if text[0] == "q" else TABLE)[int(text[1:])].tolist() for text in texts]


INDEX = {"dims": DIMS, "embed": embed, "fields": ["text"]}
if OURS:
    INDEX["text"] = False


def place(number):
    return ("users", f"u{number // EACH}", "notes")


def fill(store):
    whole = SPACES * EACH
    rates = []
    for start in range(0, whole, 1000):
        puts = [
            PutOp(place(n), f"k{n}", {"text": f"t{n}", "part": n % 100})
            for n in range(start, min(start + 1000, whole))
        ]
        began = perf_counter()
        store.batch(puts)
        rates.append(len(puts) / (perf_counter() - began))
    return rates


def recalled(store):
    """Of the ten best that meet the filter, how many are found."""
    part = np.arange(len(TABLE)) % 100 == 7
    alike = TABLE / np.linalg.norm(TABLE, axis=1, keepdims=True) @ ASKED[:10].T
    found = []
    for asked in range(10):
        scores = np.where(part, alike[:, asked], -np.inf)
        best = {f"k{n}" for n in np.argsort(-scores)[:10]}
        hits = store.search(("users",), query=f"q{asked}", filter={"part": 7}, limit=10)
        found.append(len(best & {hit.key for hit in hits}) / 10)
    return [sum(found) / len(found)]


def main():
    with postgres() as url, PostgresStore.from_conn_string(url, index=INDEX) as store:
        store.setup()
        rates = fill(store)
        questions = count()

        def ask(prefix):
            return store.search(prefix, query=f"q{next(questions) % len(ASKED)}", limit=10)

        spaces = [place(int(space) * EACH) for space in drawn.permutation(SPACES)[:ONE_TIMES]]
        for space in spaces:  # as in the second hour of use
            ask(space)
        one = [seconds(lambda space=space: ask(space)) * 1e6 for space in spaces]
        ask(("users",))
        several = [seconds(lambda: ask(("users",))) * 1e3 for _ in range(ALL_TIMES)]
        return {
            "pg_put": rates,
            "pg_search_one": one,
            "pg_search_all": several,
            "pg_recall": recalled(store),
        }


answer(**main())
