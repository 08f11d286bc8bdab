"""One number for everything that a database remembers, to compare runs that crashed with runs that did not.

Over values, steps, sources, what is due, items and their order in each namespace; not over ids, times, revisions, versions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from perdure.database import Database
from perdure.storage import chains
from perdure.storage.contract import Namespace, Snapshot

__all__ = ["canonical", "digest"]

_DUE = ("branch:to:", "join:")
_IDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def digest(db: Database, *, without: Iterable[Namespace] = ()) -> str:
    """64 hex digits (SHA-256): equal for two databases whose threads and memory are equal.

    Args:
        db: the database; all of it is read, at one moment.
        without: namespaces whose items do not count.
    """
    hashed = hashlib.sha256()
    with db.backend.read() as snapshot:
        after: str | None = None
        while page := snapshot.threads(after, 200):
            for thread in page:
                for line in _thread(db, snapshot, thread):
                    hashed.update(line.encode("utf-8", "surrogatepass") + b"\n")
            after = page[-1]
        for line in _items(db, snapshot, frozenset(without)):
            hashed.update(line.encode("utf-8", "surrogatepass") + b"\n")
    return hashed.hexdigest()


def _thread(db: Database, snapshot: Snapshot, thread: str) -> list[str]:
    """The thread's chains as text; nested ones without the ids in their names, sorted by what they hold."""
    found: list[str] = []
    handle = db.checkpointer.__perdure_backend__
    assert handle is not None  # an open saver has one
    pieces = handle.pieces
    logs = chains.Logs(snapshot, pieces, thread)
    for ns, _ in snapshot.heads(thread):
        lines = [f"thread {thread!r} chain {_IDS.sub('*', ns)!r}"]
        for row in reversed(snapshot.checkpoints(thread, ns, None, None)):
            head = chains.read_map(snapshot, thread, ns, row.id)
            if head is None:
                continue
            chains.read_values(snapshot, pieces, head, logs=logs)
            due = sorted(name for name in head.values if name.startswith(_DUE))
            changed = sorted(head.values if head.updated is None else head.updated)
            shown = {name: head.values[name] for name in changed if name in head.values and name not in due}
            lines.append(f"{row.step} {row.source} {canonical(shown)} due {due}")
        found.append("\n".join(lines))
    return sorted(found)


def _items(db: Database, snapshot: Snapshot, without: frozenset[Namespace]) -> list[str]:
    """By namespace, in each the newest first: which of two namespaces was written to first is nobody's business."""
    handle = db.store.__perdure_backend__
    assert handle is not None  # an open store has one
    codec = handle.codec
    rows = sorted(snapshot.items((), None, 1 << 30), key=lambda row: row.namespace)
    return [
        f"item {row.namespace!r} {row.key!r} {canonical(codec.decode(row.namespace, row.key, row.value))}"
        for row in rows
        if row.value is not None and row.namespace not in without
    ]


def canonical(value: Any) -> str:
    """The value as text: equal values of equal types give equal texts, in every process."""
    if isinstance(value, Mapping):
        pairs = [f"{canonical(key)}: {canonical(item)}" for key, item in value.items()]  # pyright: ignore[reportUnknownVariableType]
        return f"{type(value).__name__}{{{', '.join(sorted(pairs))}}}"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, (set, frozenset)):
        return f"{type(value).__name__}{{{', '.join(sorted(map(canonical, value)))}}}"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, (list, tuple)):
        return f"{type(value).__name__}[{', '.join(map(canonical, value))}]"  # pyright: ignore[reportUnknownArgumentType]
    kind = cast("Any", type(value))
    if hasattr(kind, "__slots__") and kind.__module__.startswith("perdure."):
        slots: tuple[str, ...] = tuple(kind.__slots__)
        names = [name for name in slots if not name.startswith("_") and name != "id"]
        return f"{type(value).__name__}({', '.join(f'{name}={canonical(getattr(value, name))}' for name in names)})"
    return f"{type(value).__name__} {value!r}"
