"""What two databases must have in common for one to be a copy of the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import perdure
from perdure.errors import Compacted
from perdure.store.base import Item
from perdure.testing.digests import digest


def memory_of(db: perdure.Database) -> list[str]:
    """Every item with its history, in the order of the newest writes; numbers of revisions and versions left out.

    Without deletions at the beginning: what they deleted is kept no more, so they are not copied.
    """
    lines = list(db.store.export(history=True))[1:-1]
    for line in lines:
        while line["history"] and line["history"][0]["value"] is None:
            line["history"].pop(0)
    return [json.dumps(line) for line in lines if line["history"] or line["value"] is not None]


def checkpoints_of(db: perdure.Database) -> list[Any]:
    """Every checkpoint as the saver shows it, pending writes included."""
    return [
        (one.config, one.checkpoint, one.metadata, one.parent_config, one.pending_writes)
        for one in db.checkpointer.list(None)
    ]


def view_of(db: perdure.Database, moment: Any) -> Any:
    """Memory as of a moment; "compacted" where it is not shown."""
    try:
        found = db.store.at(moment).search((), limit=1000)
    except Compacted:
        return "compacted"
    return told(found)


def told(found: Sequence[Item]) -> Any:
    """What items say."""
    return [(item.namespace, item.key, item.value, item.created_at, item.updated_at) for item in found]


def views_of(db: perdure.Database, times: list[datetime]) -> list[Any]:
    """Memory as of every checkpoint, and of these times."""
    moments: list[Any] = [one.config for one in db.checkpointer.list(None)]
    return [view_of(db, moment) for moment in [*moments, *times]]


def assert_equal(
    source: perdure.Database, target: perdure.Database, times: list[datetime] | None = None
) -> None:
    """Threads, memory with its history and order, and memory of the past; where the source shows it, so does the target."""
    assert digest(target) == digest(source)
    assert checkpoints_of(target) == checkpoints_of(source)
    assert memory_of(target) == memory_of(source)
    for here, there in zip(views_of(source, times or []), views_of(target, times or []), strict=True):
        # What the source has pruned since it was copied the target may still show.
        assert here == "compacted" or there in (here, "compacted")
