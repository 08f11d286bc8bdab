"""What the memory backend tells its operator, and holding its writers off.

Here: the questions over its dicts; whoever asks holds the lock. Not here: the lock (`backend.py`).
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence

from perdure.storage.contract import (
    About,
    Chained,
    Embedded,
    Largest,
    Namespace,
    Snapshot,
    SpaceSize,
    TableSize,
    ThreadSize,
)
from perdure.storage.memory.tables import Tables, Thread

__all__ = ["about", "embedded", "largest", "sizes", "strays"]


def about(identity: str) -> About:
    """Dicts of this process have no schema."""
    return About(
        "memory", identity, f"Python {sys.version.split()[0]}", 0, (("lives", "as long as its process"),)
    )


def sizes(tables: Tables, now: Snapshot) -> list[TableSize]:
    """Rows, and bytes of the values; what Python's own objects take beside them nobody counts."""
    threads = list(tables.threads.values())
    chains = [chain for thread in threads for chain in thread.chains.values()]
    weights = {
        "checkpoints": sum(
            _weight(row.state, row.metadata) for chain in chains for row in chain.rows.values()
        ),
        "segments": sum(
            len(row.payload) for thread in threads for log in thread.logs.values() for row in log
        ),
        "writes": sum(
            len(row.payload) for c in chains for rows in c.writes.values() for row in rows.values()
        ),
        "staged": sum(
            len(row.payload) for c in chains for rows in c.staged.values() for row in rows.values()
        ),
        "runs": sum(len(run.metadata) for thread in threads for run in thread.runs.values()),
        "items": sum(_weight(row.value) for rows in tables.items.values() for row in rows.values()),
        "history": sum(_weight(row.value) for row in tables.history.values()),
        "postings": None,
        "vectors": None,
    }
    return [
        *(TableSize(name, now.count(name), size) for name, size in weights.items()),
        TableSize("other", 0, None),
    ]


def largest(tables: Tables, limit: int) -> Largest:
    """The threads and namespaces with most bytes."""
    threads = [_sized(name, thread) for name, thread in tables.threads.items() if name]
    spaces: defaultdict[Namespace, list[int]] = defaultdict(lambda: [0, 0])
    for row in tables.history.values():
        space = spaces[row.namespace]
        space[0] += 1
        space[1] += _weight(row.value)
    living = {space: len(rows) for space, rows in tables.items.items()}
    sized = [SpaceSize(space, living.get(space, 0), *counts) for space, counts in spaces.items()]
    return Largest(
        sorted(threads, key=lambda one: (-one.bytes, one.thread.encode()))[:limit],
        sorted(sized, key=lambda one: (-one.bytes, one.namespace))[:limit],
    )


def _sized(name: str, thread: Thread) -> ThreadSize:
    chains = thread.chains.values()
    return ThreadSize(
        name,
        sum(len(chain.rows) for chain in chains),
        sum(_weight(row.state, row.metadata) for chain in chains for row in chain.rows.values())
        + sum(len(row.payload) for log in thread.logs.values() for row in log)
        + sum(len(row.payload) for chain in chains for rows in chain.writes.values() for row in rows.values())
        + sum(len(run.metadata) for run in thread.runs.values()),
    )


def strays(tables: Tables, limit: int) -> list[Chained]:
    """Places of pending writes and staged memory that no checkpoint stands at."""
    found = {
        (name, ns, id)
        for name, thread in tables.threads.items()
        if name
        for ns, chain in thread.chains.items()
        for rows in (chain.writes, chain.staged)
        for id, left in rows.items()
        if left and id not in chain.rows
    }
    return sorted(found)[:limit]


def embedded(
    tables: Tables, places: Sequence[tuple[Namespace, str]]
) -> dict[tuple[Namespace, str], tuple[int, Embedded]]:
    """Version and vectors of live items."""
    found: dict[tuple[Namespace, str], tuple[int, Embedded]] = {}
    for where in places:
        row, ref = tables.items.get(where[0], {}).get(where[1]), tables.texts.ref(where)
        vectors = None if ref is None else tables.vectors.of(ref, where[0])
        if row is not None and vectors is not None:
            found[where] = row.version, vectors
    return found


def _weight(*parts: bytes | None) -> int:
    return sum(len(part) for part in parts if part is not None)
