"""A program that writes memory of all kinds and can be killed at any instant and run again.

`python -m crash.memory_program PLACE [--kill before|after --at N] [--at-statement N] [--sweeping]`: goes on from where the
file's memory says it stands. Each step can be done again; after each an item says that it is done. It prints what is
remembered, and how many commits were made. `... FILE --verify`: whether all that is made of the items agrees with them.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from crash.kit import url_of_place
from crash.nursery import serve
from crash.program import Counting, kill_at_statement
from perdure import connect
from perdure.storage import upkeep
from perdure.storage.contract import Backend
from perdure.store.face import codec_of
from perdure.store.memory import InMemoryStore
from perdure.store.swept import SweptStore
from perdure.testing import FakeClock
from perdure.testing.crash import CrashingBackend

SOON: Final = 0.0003  # minutes
ME: Final = ("users", "ada")
MANY: Final = 24
WORDS: Final = ("running", '"green tea"', "importe*", "number 7 walks")


def _vectors(texts: Sequence[str], salt: bytes, dims: int) -> list[list[float]]:
    digests = [hashlib.blake2b(text.encode(), key=salt).digest() for text in texts]
    return [[byte / 128 - 1 for byte in digest[:dims]] for digest in digests]


def old_model(texts: Sequence[str]) -> list[list[float]]:
    """Six numbers for each text, made of nothing else."""
    return _vectors(texts, b"old", 6)


def new_model(texts: Sequence[str]) -> list[list[float]]:
    """Other numbers, and more of them."""
    return _vectors(texts, b"new", 8)


FIRST: Final[Any] = {"dims": 6, "embed": old_model, "fields": ["text", "more[*]"], "language": "german"}
SECOND: Final[Any] = {"dims": 8, "embed": new_model, "fields": ["text", "more[*]"], "language": "english"}


def opened(backend: Backend, index: Any = SECOND, *, indexes: Sequence[str] = ()) -> SweptStore:
    """A store over it whose items can expire; two versions of each are kept."""
    return SweptStore(backend, codec_of(index), ttl={}, keep_history=2, indexes=indexes)


# -- steps: each can be done again ------------------------------------------------------------------------------------


def some_puts(store: SweptStore) -> None:
    store.put(ME, "a", {"text": "running in the park", "status": "open"})
    store.put(ME, "b", {"text": "green tea", "more": ["cups", "a kettle"], "status": "done"})
    store.put(("users", "eve"), "a", {"text": "walks over water", "status": "open"})
    store.put(ME, "hidden", {"text": "tea, hidden", "status": "open"}, index=False)
    store.put(ME, "part", {"text": "hidden running", "title": "tea"}, index=["title"])


def with_ends(store: SweptStore) -> None:
    for number in range(3):
        store.put(("short", str(number)), "k", {"text": f"tea number {number}"}, ttl=SOON)
    store.put(("long",), "k", {"text": "tea that is kept"}, ttl=1000)
    store.put(("long",), "l", {"text": "running, kept"}, ttl=1000)


def changes(store: SweptStore) -> None:
    store.update(ME, "a", lambda value: {**(value or {}), "text": "ran through the park", "n": 1})
    store.put(ME, "b", {"text": "green tea", "more": ["cups"], "status": "open"})
    store.put(ME, "hidden", {"text": "tea, seen now"})
    store.put(ME, "part", {"text": "seen running", "title": "tea"}, index=False)
    store.delete(("users", "eve"), "a")
    store.put(("users", "eve"), "a", {"text": "walks over water again"})


def many(store: SweptStore) -> None:
    texts = [f"number {n} of {MANY}, running" for n in range(MANY)]
    store.put_many([(("many", str(n % 4)), f"k{n}", {"text": text, "n": n}) for n, text in enumerate(texts)])


def fewer(store: SweptStore) -> None:
    store.delete_prefix(("many", "3"))
    store.delete(("many", "2"), "k2")


def ends(store: SweptStore) -> None:
    time.sleep(SOON * 60)
    store.put(("short", "0"), "k", {"text": "tea over what has expired"})
    store.get(("long",), "k", refresh_ttl=True)
    store.sweep_ttl()


def moved(store: SweptStore) -> None:
    with FakeClock(datetime(2026, 1, 2, tzinfo=UTC)) as clock, InMemoryStore(ttl={}) as other:
        for turn in range(2):
            for number in range(6):
                other.put(("moved", str(number % 2)), f"k{number}", {"text": f"imported tea {number} {turn}"})
                clock.advance(seconds=1)
        other.put(("moved", "0"), "end", {"text": "imported, with an end"}, ttl=60 * 24 * 365 * 100)
        other.delete(("moved", "1"), "k5")
        lines = list(other.export(history=True))
    store.import_(lines)
    store.reindex()  # importing embeds nothing


def turns(store: SweptStore) -> None:
    """More versions than are kept, so that some are pruned on the way, and some at the end."""
    for turn in range(3):
        store.put_many([(("turns",), f"k{n}", {"text": f"turn {turn} of tea {n}"}) for n in range(MANY)])
    assert store.__perdure_backend__ is not None
    upkeep.prune(store.__perdure_backend__.backend)


def anew(store: SweptStore) -> None:
    store.reindex()


def forgotten(store: SweptStore) -> None:
    store.forget(("many", "1"))


def last(store: SweptStore) -> None:
    store.put(ME, "c", {"text": "tea in the end", "status": "open"})
    store.put(("many", "1"), "again", {"text": "running after all was forgotten"})
    store.delete(ME, "b")
    store.update(ME, "part", lambda value: {**(value or {}), "n": 2})


BEFORE: Final[tuple[Callable[[SweptStore], None], ...]] = (
    some_puts, with_ends, changes, many, fewer, ends, moved, turns,
)  # fmt: skip
AFTER: Final[tuple[Callable[[SweptStore], None], ...]] = (anew, forgotten, last)
"""With another model and language."""


def done(store: SweptStore) -> int:
    """How many steps are."""
    found = store.get(("progress",), "at")
    return 0 if found is None else found.value["step"]


def go_on(backend: Backend) -> None:
    """All steps that are not done."""
    first, second = opened(backend, FIRST, indexes=["status"]), opened(backend, indexes=["status", "n"])
    for number in range(done(first), len(BEFORE) + len(AFTER)):
        store = first if number < len(BEFORE) else second
        (*BEFORE, *AFTER)[number](store)
        store.put(("progress",), "at", {"step": number + 1}, index=False)


# -- what is left ------------------------------------------------------------------------------------------------------


def remembered(backend: Backend) -> str:
    """All items, in the order of their writes, as one number."""
    with backend.read() as now:
        rows = now.items((), None, 1 << 30)
    lines = [(row.namespace, row.key, row.value, row.paths, row.ttl) for row in rows]
    return hashlib.sha256(repr(lines).encode()).hexdigest()


def found(store: SweptStore, mode: Any) -> list[Any]:
    """What searches of everything, and of a part, find; scores rounded."""
    return [
        sorted(
            (item.namespace, item.key, round(item.score or 0, 5))
            for item in store.search(prefix, query=query, mode=mode, limit=1000)
        )
        for prefix in ((), ("users",))
        for query in WORDS
    ]


def verify(backend: Backend) -> None:
    """Raises where anything that is made of the items does not agree with them, or finds other than a fresh store does."""
    for index in (FIRST, SECOND):
        store = opened(backend, index)
        assert store.check() == []
        store.sweep_ttl()  # until then what has expired counts in the statistics
        with InMemoryStore(index=index, ttl={}) as fresh:
            fresh.import_(store.export())
            fresh.reindex()
            assert found(store, "text") == found(fresh, "text")  # whatever of them is filed anew
            step = done(store)
            if (step <= len(BEFORE)) == (index is FIRST):
                filed = store.reindex().filed
                assert filed == 0 or step in (BEFORE.index(moved), len(BEFORE)), filed
            elif step != len(BEFORE):
                continue
            else:
                store.reindex()
            assert store.check() == []
            assert found(store, "vector") == found(fresh, "vector")
            assert found(store, "hybrid") == found(fresh, "hybrid")
            for status in ("open", "done"):
                asked = [
                    sorted(i.key for i in s.search((), filter={"status": status}, limit=99))
                    for s in (store, fresh)
                ]
                assert asked[0] == asked[1]


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs to the end, or verifies; what is remembered then."""
    parser = argparse.ArgumentParser()
    parser.add_argument("place", help="a file, or a URL")
    parser.add_argument("--kill", choices=("before", "after"), default="before")
    parser.add_argument("--at", type=int, default=0)
    parser.add_argument("--at-statement", type=int, default=0)
    parser.add_argument("--sweeping", action="store_true", help="with a thread that sweeps all the time")
    parser.add_argument("--verify", action="store_true")
    given = parser.parse_args(arguments)
    with connect(url_of_place(given.place)) as db:
        backend: Any = Counting(db.backend)
        if given.verify:
            verify(db.backend)
        else:
            if given.at:
                backend = CrashingBackend(db.backend, given.at, given.kill)
            elif given.at_statement:
                kill_at_statement(db, given.at_statement)
            if given.sweeping:
                opened(backend).start_ttl_sweeper(sweep_interval_minutes=SOON / 10)
            go_on(backend)
        return {
            "remembered": remembered(db.backend),
            "step": done(opened(db.backend)),
            "commits": getattr(backend, "commits", 0),
        }


if __name__ == "__main__":
    serve(main)
