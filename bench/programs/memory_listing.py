"""Listings by a filter: a million items of one namespace on SQLite, `indexes=["status"]` declared; ours alone.

`rare`: 1,000 of them have the status; `common`: half of them; `old`: 10% of them, all among the first that were written, so
that reading from the newest on finds none for long. The same without a declared index is printed beside.
"""

from __future__ import annotations

import sys

from common import QUICK, answer, load, scratch, seconds

WHOLE, PART, TIMES = 50_000 if QUICK else 1_000_000, 10_000, 10
(connect,) = load("database", "connect")
HERE = ("tickets",)


def status(number):
    if number % (WHOLE // 1000) == 0:
        return "rare"
    if number < WHOLE // 5:
        return "old" if number % 2 else "open"
    return "common" if number % 2 else "open"


def fill(store):
    for start in range(0, WHOLE, PART):
        store.put_many([(HERE, f"k{n}", {"status": status(n), "n": n}) for n in range(start, start + PART)])


def measure(store, times):
    found = {}
    for name in ("rare", "common", "old"):
        store.search(HERE, filter={"status": name}, limit=10)
        samples = [seconds(lambda name=name: check(store, name)) * 1e3 for _ in range(times)]
        found[name] = samples
    return found


def check(store, name):
    found = store.search(HERE, filter={"status": name}, limit=10)
    if [item.value["status"] for item in found] != [name] * 10:
        raise AssertionError(found)


with scratch() as where:
    index = {"text": False}
    with connect(f"sqlite:///{where / 'declared.db'}", index=index, indexes=["status"]) as db:
        fill(db.store)
        declared = measure(db.store, TIMES)
    with connect(f"sqlite:///{where / 'plain.db'}", index=index) as db:
        fill(db.store)
        plain = measure(db.store, 1)
answer(
    **{f"listing_{name}": samples for name, samples in declared.items()},
    **{f"listing_{name}_plain": samples for name, samples in plain.items()},
)
sys.stdout.flush()
