"""Search by words on SQLite: a million items of 20 words in 1,000 namespaces, put in bulk; ours alone.

Words are drawn by Zipf's law from 50,000, of which the 100 most frequent are stop words of English, as in English texts.
Queries of five other words: any five, drawn as the texts are (`one`, of a namespace; `frequent`, of all items), and five of
which two stand in at most 2,000 items (`rare`, of all).
Recall: how many of the best ten of an exact ranking of all items are among the ten that are found.
"""

from __future__ import annotations

import gc
import sys
from bisect import bisect_left
from itertools import accumulate
from random import Random
from time import perf_counter

from common import QUICK, answer, load, scratch, seconds

SPACES, EACH, WORDS, LENGTH = 20 if QUICK else 1000, 1000, 50_000, 20
WHOLE = SPACES * EACH
PART = 10_000
(connect,) = load("database", "connect")
(STOP_WORDS,) = load("storage.text.languages", "STOP_WORDS")

drawn = Random(7)
SUMS = list(accumulate(1 / (n + 1) for n in range(WORDS)))


STOPS = sorted(STOP_WORDS["english"])[:100]


def word(least=0):
    number = bisect_left(SUMS, drawn.random() * SUMS[-1])
    return number if number >= least else word(least)


def five(rare=()):
    """A query: these words, and others that are no stop words."""
    return " ".join([*rare, *(name(word(len(STOPS))) for _ in range(5 - len(rare)))])


def name(number):
    """A word of letters, different for every number."""
    if number < len(STOPS):
        return STOPS[number]
    syllables = []
    while True:
        number, place = divmod(number, 70)
        syllables.append("bdfgklmnprstvz"[place // 5] + "aeiou"[place % 5])
        if not number:
            return "".join(syllables) + "m"


def text():
    return " ".join(name(word()) for _ in range(LENGTH))


def place(number):
    return ("users", f"u{number // EACH}", "notes")


def fill(store):
    """Items a second."""
    texts = [text() for _ in range(WHOLE)]
    rates = []
    for start in range(0, WHOLE, PART):
        items = [(place(n), f"k{n}", {"text": texts[n]}) for n in range(start, min(start + PART, WHOLE))]
        began = perf_counter()
        store.put_many(items)
        rates.append(len(items) / (perf_counter() - began))
    return texts, rates


def postings(texts):
    """Word -> items, of the words that are asked for only."""
    found = {}
    for number, line in enumerate(texts):
        for one in set(line.split()):
            found.setdefault(one, []).append(number)
    return found


def exact(texts, holders, query):
    """The best ten of all, and the score of the tenth, by the published formula over every item."""
    from perdure.storage.text.bm25 import idf, score

    terms = [one for one in dict.fromkeys(query.split()) if one in holders]
    weights = [idf(len(texts), len(holders[one])) for one in terms]
    scored = {}
    for number in {number for one in terms for number in holders[one]}:
        words = texts[number].split()
        scored[number] = score(weights, [words.count(one) for one in terms], LENGTH, LENGTH)
    best = sorted(scored.values(), reverse=True)[:10]
    return scored, best[-1] if best else 0.0


def recall(store, texts, holders, queries):
    """Shares of the found ten that are no worse than the tenth of the exact ranking."""
    shares = []
    for query in queries:
        scored, least = exact(texts, holders, query)
        found = store.search(("users",), query=query, limit=10)
        shares.append(sum(scored[int(item.key[1:])] >= least - 1e-6 for item in found) / min(10, len(scored)))
    return sum(shares) / len(shares)


def measure(store):
    texts, rates = fill(store)
    holders = postings(texts)
    gc.collect()
    times = 5 if QUICK else 30
    anything = [five() for _ in range(times)]
    uncommon = [one for one, items in holders.items() if len(items) <= min(2000, WHOLE // 500)]
    rare = [five(drawn.sample(uncommon, 2)) for _ in range(times)]
    one, several, seldom = [], [], []
    spaces = [place(drawn.randrange(WHOLE)) for _ in anything]
    for query, space in zip(anything, spaces, strict=True):
        store.search(space, query=query, limit=10)
        one.append(seconds(lambda query=query, space=space: store.search(space, query=query, limit=10)) * 1e3)
    for queries, found in ((anything, several), (rare, seldom)):
        for query in queries:
            found.append(seconds(lambda query=query: store.search(("users",), query=query, limit=10)) * 1e3)
    return {
        "bulk": rates,
        "texts_one": one,
        "texts_all_rare": seldom,
        "texts_all_frequent": several,
        "recall": {
            "rare": round(recall(store, texts, holders, rare[:5]), 4),
            "frequent": round(recall(store, texts, holders, anything[:5]), 4),
        },
    }


with scratch() as where, connect(f"sqlite:///{where / 't.db'}") as db:
    found = measure(db.store)
    found["texts_bytes"] = [(where / "t.db").stat().st_size / WHOLE]
    answer(**found)
sys.stdout.flush()
