"""A million vectors of 128 dimensions in one namespace, on SQLite: the best ten, recall against exact, memory; ours alone.

The first search reads all vectors into memory; it is not among the samples. `resident`: what the process holds more after
the searches than before them, for each byte of vectors.
"""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
from common import QUICK, answer, load, scratch, seconds

DIMS, WHOLE, PART, TIMES = 128, 50_000 if QUICK else 1_000_000, 10_000, 10
(connect,) = load("database", "connect")
drawn = np.random.default_rng(7)
ASKED = drawn.standard_normal((64, DIMS), dtype="f4")
HERE = ("users", "ada", "notes")


def rows(start):
    """The vectors of a part, made again whenever they are wanted, so that the process need not hold them."""
    return np.random.default_rng(start + 1).standard_normal((PART, DIMS), dtype="f4")


part = {"start": -1, "rows": ASKED}


def embed(texts):
    if texts[0][0] == "q":
        return [ASKED[int(text[1:])].tolist() for text in texts]
    start = int(texts[0][1:]) // PART * PART
    if part["start"] != start:
        part.update(start=start, rows=rows(start))
    return [part["rows"][int(text[1:]) - start] for text in texts]


def resident():
    """Bytes of this process that lie in memory."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("this program asks Linux how much memory it holds")


def exact():
    """The places of the best ten, for each question."""
    best = np.full((len(ASKED), 10), -2.0, dtype="f4")
    names = np.zeros((len(ASKED), 10), dtype=np.int64)
    for start in range(0, WHOLE, PART):
        found = rows(start)
        alike = ASKED @ (found / np.linalg.norm(found, axis=1, keepdims=True)).T
        scores = np.concatenate((best, alike), axis=1)
        whole = np.concatenate((names, np.broadcast_to(np.arange(start, start + PART), alike.shape)), axis=1)
        top = np.argsort(-scores, axis=1)[:, :10]
        best, names = np.take_along_axis(scores, top, 1), np.take_along_axis(whole, top, 1)
    return names


def measure(url):
    index = {"dims": DIMS, "embed": embed, "fields": ["text"], "text": False, "batch_size": PART}
    with connect(url, index=index) as db:
        for start in range(0, WHOLE, PART):
            db.store.put_many([(HERE, f"k{n}", {"text": f"t{n}"}) for n in range(start, start + PART)])
    with connect(url, index=index) as db:
        store = db.store
        store.search(HERE, limit=1)
        gc.collect()
        before = resident()
        first = seconds(lambda: store.search(HERE, query="q0", limit=10))
        found = [
            {item.key for item in store.search(HERE, query=f"q{n}", limit=10)} for n in range(len(ASKED))
        ]
        times = [seconds(lambda n=n: store.search(HERE, query=f"q{n}", limit=10)) * 1e3 for n in range(TIMES)]
        gc.collect()
        held = (resident() - before) / (WHOLE * DIMS * 4)
    right = [len({f"k{n}" for n in best} & keys) for best, keys in zip(exact().tolist(), found, strict=True)]
    return {
        "million": times,
        "million_resident": [held],
        "million_first": [first],
        "recall": {"million vectors": round(sum(right) / len(right) / 10, 4)},
    }


with scratch() as where:
    found = measure(f"sqlite:///{where / 'm.db'}")
answer(**found)
