"""Search by vectors on Postgres: 100,000 items of 128 dimensions in 1,000 namespaces; the best ten of one, of all, under a filter.

The model is a table of random vectors, so that nothing but the store is timed. Recall is told against exact cosine. Random vectors are
the hardest for an index: nothing of them lies together.

Ours compares exactly, unless a namespace is large and an index was asked for: so then the same items once more, in one namespace.
Theirs has one index of all, whatever the namespaces.
"""

from __future__ import annotations

from itertools import count
from time import perf_counter, sleep

import numpy as np
import psycopg
from common import OURS, QUICK, answer, load, postgres, seconds

DIMS, SPACES, EACH = 128, 100 if QUICK else 1000, 100
ONE_TIMES, ALL_TIMES = 30 if QUICK else 200, 5 if QUICK else 20
LARGE = 25_000 if QUICK else SPACES * EACH  # of fewer no index is made
PATIENCE_SECONDS = 900
(PutOp,) = load("store.base", "PutOp")
(PostgresStore,) = load("store.postgres", "PostgresStore")

drawn = np.random.default_rng(7)
TABLE = drawn.standard_normal((max(LARGE, SPACES * EACH), DIMS), dtype="f4")
ASKED = drawn.standard_normal((1000, DIMS), dtype="f4")


def embed(texts):
    return [(ASKED if text[0] == "q" else TABLE)[int(text[1:])].tolist() for text in texts]


INDEX = {"dims": DIMS, "embed": embed, "fields": ["text"]}
if OURS:
    INDEX["text"] = False


def place(number):
    return ("users", f"u{number // EACH}", "notes")


def fill(store, whole, place):
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


def recalled(store, whole, prefix, part=None):
    """Of the ten best, of a part if one is named, how many are found."""
    table = TABLE[:whole]
    alike = table / np.linalg.norm(table, axis=1, keepdims=True) @ ASKED[:10].T
    fits = np.ones(whole, bool) if part is None else np.arange(whole) % 100 == part
    found = []
    for asked in range(10):
        scores = np.where(fits, alike[:, asked], -np.inf)
        best = {f"k{n}" for n in np.argsort(-scores)[:10]}
        only = None if part is None else {"part": part}
        hits = store.search(prefix, query=f"q{asked}", filter=only, limit=10)
        found.append(len(best & {hit.key for hit in hits}) / 10)
    return [sum(found) / len(found)]


def timed(store, prefix, times):
    """Milliseconds of each, after some that are not counted."""
    for number in range(3):
        store.search(prefix, query=f"q{number}", limit=10)
    return [
        seconds(lambda number=number: store.search(prefix, query=f"q{number}", limit=10)) * 1e3
        for number in range(times)
    ]


def small():
    """Many namespaces."""
    with postgres() as url, PostgresStore.from_conn_string(url, index=INDEX) as store:
        store.setup()
        rates = fill(store, SPACES * EACH, place)
        questions = count()

        def ask(prefix):
            return store.search(prefix, query=f"q{next(questions) % len(ASKED)}", limit=10)

        spaces = [place(int(space) * EACH) for space in drawn.permutation(SPACES)[:ONE_TIMES]]
        for space in spaces:  # as in the second hour of use
            ask(space)
        one = [seconds(lambda space=space: ask(space)) * 1e6 for space in spaces]
        return {
            "pg_put": rates,
            "pg_search_one": one,
            "pg_search_all": timed(store, ("users",), ALL_TIMES),
            "pg_recall_all": recalled(store, SPACES * EACH, ("users",)),
            "pg_recall": recalled(store, SPACES * EACH, ("users",), part=7),
        }


def large():
    """One namespace: exactly, and by an index."""
    space = ("users", "one", "notes")
    with postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION vector")
        with PostgresStore.from_conn_string(url, index=INDEX) as store:
            store.setup()
            fill(store, LARGE, lambda n: space)
            exact = timed(store, space, ALL_TIMES)
        asked = {**INDEX, "ann_index_config": {"kind": "hnsw"}}
        with PostgresStore.from_conn_string(url, index=asked) as store:
            wait_for_index(url)
            sleep(6)  # for so long a store may believe that there is none
            return {
                "pg_large": exact,
                "pg_hnsw": timed(store, space, ALL_TIMES),
                "pg_hnsw_recall": recalled(store, LARGE, space),
            }


def wait_for_index(url):
    until = perf_counter() + PATIENCE_SECONDS
    with psycopg.connect(url, autocommit=True) as connection:
        while not connection.execute("SELECT 1 FROM perdure_near WHERE ready = 1").fetchall():
            if perf_counter() > until:
                raise SystemExit("no index of the large namespace was made")
            sleep(0.5)


def main():
    figures = small()
    if OURS:
        figures |= large()
    else:  # one index of all: a namespace that has all is the same search
        figures["pg_hnsw"] = figures["pg_search_all"]
        figures["pg_hnsw_recall"] = figures["pg_recall_all"]
    return figures


answer(**main())
