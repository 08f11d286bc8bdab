"""What a row of an answer means: values of the contract.

Here: rows to values. Not here: the questions (`*_answers.py`), values to rows (`rows.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from perdure.codec import bytes_to_text, decode_namespace
from perdure.storage.contract import Chained, CheckpointRow, ItemRow, Namespace, Origin, Revision, WriteRow
from perdure.storage.tables.packing import time_in, unpack_id, unpack_task
from perdure.storage.tables.rows import SOURCES

__all__ = ["checkpoint_of", "item_of", "items_of", "write_of"]


def checkpoint_of(thread: str, ns: str, row: Sequence[Any]) -> CheckpointRow:
    """The checkpoint of a row without thread and ns."""
    id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state = row
    if parent is not None:
        parent_ns = ns if parent_ns is None else bytes_to_text(parent_ns)
    return CheckpointRow(
        thread,
        ns,
        unpack_id(id),
        parent_ns,
        None if parent is None else unpack_id(parent),
        step,
        SOURCES[source] if type(source) is int else bytes_to_text(source),
        at + time_in(id),
        None if run is None else unpack_id(run),
        whole == 1,
        state,
        metadata,
        Revision(0, seq),
    )


def write_of(place: Chained, row: Sequence[Any]) -> WriteRow:
    """The pending write of a row without its place."""
    task, index, path, channel, payload = row
    return WriteRow(*place, unpack_task(task), index, bytes_to_text(path), bytes_to_text(channel), payload)


def items_of(rows: list[Any]) -> list[ItemRow]:
    """The items of rows that begin with namespace and key."""
    spaces: dict[bytes, Namespace] = {}
    found: list[ItemRow] = []
    for name, key, *rest in rows:
        space = spaces.get(name)
        if space is None:
            space = spaces[name] = decode_namespace(name)
        found.append(item_of(space, bytes_to_text(key), rest))
    return found


def item_of(namespace: Namespace, key: str, row: Sequence[Any]) -> ItemRow:
    """The item of a row without namespace and key."""
    version, created, updated, thread, checkpoint, node, actor, value, paths, expires, ttl = row
    if thread is None and checkpoint is None and node is None and actor is None:
        origin = Origin()
    else:
        origin = Origin(
            _text(thread), None if checkpoint is None else unpack_id(checkpoint), _text(node), _text(actor)
        )
    return ItemRow(
        namespace,
        key,
        value,
        updated if created is None else created,
        updated,
        version,
        Revision(0, version >> 20),
        origin,
        None if paths is None else tuple(json.loads(paths)),
        expires,
        ttl,
    )


def _text(stored: bytes | None) -> str | None:
    return None if stored is None else bytes_to_text(stored)
