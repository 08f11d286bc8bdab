"""Threads that write, delete, let expire and search the same memory, beside another process that does the same.

`python -m crash.memory_crowd PLACE NAME TURNS`: when all threads are done it prints "done"; when somebody has put an item
into ("end",), what its watch has seen since the beginning, and which conflicts were met.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import traceback
from typing import Any, Final

from crash.kit import url_of_place
from crash.memory_program import SECOND, SOON
from perdure import connect
from perdure.errors import VersionConflict
from perdure.store.base import Item
from perdure.store.swept import SweptStore

THREADS: Final = 8
SPACES: Final = tuple(("crowd", str(number)) for number in range(3))
WORDS: Final = ("tea", "running water", "number 7", "cups*")


def turn(store: SweptStore, name: str, chance: random.Random) -> None:
    """One thing of many, at a place where others are, too."""
    space, key = chance.choice(SPACES), f"k{chance.randrange(6)}"
    text = {"text": f"{chance.choice(WORDS)} by {name}", "n": chance.randrange(100)}
    match chance.randrange(10):
        case 0 | 1:
            store.put(space, key, text)
        case 2:
            store.put(space, key, text, ttl=SOON * chance.random())
        case 3:
            store.delete(space, key)
        case 4:
            store.update(space, key, lambda value: {**(value or {}), **text})
        case 5:
            store.put_many([(each, key, text) for each in SPACES])
        case 6:
            found = store.get(space, key)
            store.put(
                space, key, text, **({"if_absent": True} if found is None else {"if_version": found.version})
            )
        case 7:
            store.sweep_ttl()
        case 8:
            mode: Any = chance.choice(["text", "vector", "hybrid"])
            for item in store.search(("crowd",), query=chance.choice(WORDS), mode=mode):
                assert isinstance(item, Item)
                assert item.value["text"], item
        case _:
            if chance.random() < 0.3:
                store.delete_prefix(space)
            store.get(space, key, refresh_ttl=True)


def main(place: str, name: str, turns: int) -> None:
    """Runs all threads, then tells."""
    conflicts: list[str] = []
    failures: list[str] = []
    seen: list[int] = []
    with connect(url_of_place(place), index=SECOND, ttl={}, keep_history="all") as db:
        store = db.store

        def work(number: int) -> None:
            chance = random.Random(f"{name} {number}")
            for _ in range(turns):
                try:
                    turn(store, name, chance)
                except VersionConflict as error:
                    conflicts.append(str(error))
                except BaseException:  # noqa: BLE001 - told at the end
                    failures.append(traceback.format_exc())

        def watch() -> None:
            for changes in store.watch(since="0.0"):
                seen.extend(event.version for event in changes)
                if any(event.namespace == ("end",) for event in changes):
                    return

        threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
        watcher = threading.Thread(target=watch)
        for thread in (watcher, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        print("done", flush=True)
        watcher.join()
    print(json.dumps({"seen": seen, "conflicts": len(conflicts), "failures": failures}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
