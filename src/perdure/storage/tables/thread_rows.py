"""What a commit adds to threads: runs, checkpoints, segments, pending writes and staged memory.

Here: their rows. Not here: what goes (`removing.py`), items (`item_changes.py`).
"""

from __future__ import annotations

from typing import Any

from perdure.storage.tables.gathering import Gathering
from perdure.storage.tables.known import ChainState
from perdure.storage.tables.numbering import number_of_log, number_of_thread, numbered
from perdure.storage.tables.rows import Prepared
from perdure.storage.tables.statements import ADD_CHECKPOINT, ADD_RUN, ADD_SEGMENT, ADD_STAGED, ADD_WRITE

__all__ = ["add_to_threads"]


def add_to_threads(group: Gathering, member: Prepared, seq: int) -> None:
    """The member's rows of threads, in the commit of this number."""
    for name, *run in member.runs:
        group.add(ADD_RUN, (number_of_thread(group, name), *run))
    for row in member.checkpoints:
        _checkpoint(group, row, seq)
    for name, log, start, count, kind, payload in member.segments:
        place = number_of_log(group, number_of_thread(group, name), log) << 32 | start
        group.add(ADD_SEGMENT, (place, count, kind, payload))
    for chain, *write in member.writes:
        group.add(ADD_WRITE, (numbered(group, chain).chain, *write))
    for chain, *staged in member.staged:
        group.add(ADD_STAGED, (numbered(group, chain).chain, *staged))


def _checkpoint(group: Gathering, row: tuple[Any, ...], seq: int) -> None:
    chain, id, parent, parent_ns, step, source, at, run, whole, metadata, state, made = row
    thread, number, head, _ = numbered(group, chain)
    seq = made or seq
    if head is None or id >= head:
        group.known.chains[chain] = ChainState(thread, number, id, seq)
    if head is None or id > head:
        if parent is not None and parent == head and parent_ns is None:
            parent = b""
    elif id != head:  # between others: whoever said "the one before me" must say which
        group.flush()
        group.ask("name_parent_of_following", number, id)
    group.add(
        ADD_CHECKPOINT,
        (number, id, parent, parent_ns, step, source, at, run, whole, seq, metadata, state),
    )
