"""What a commit takes away: what a step leaves behind, with nearly every commit, and the rare large removals.

Here: which statements, and what of the known they make doubtful. Not here: forgetting a subtree, table by table
(`forgetting.py`), making anew what is made of items (`checking.py`).
"""

from __future__ import annotations

from typing import Any

from perdure.codec import encode_namespace, text_to_bytes
from perdure.storage.contract import (
    ForgetItems,
    MendIndexes,
    MendVectors,
    PruneHistory,
    PruneVersions,
    RemoveCheckpoint,
    RemoveResult,
    RemoveRun,
    RemoveSegments,
    RemoveStaged,
    RemoveThread,
    RemoveWrites,
    UnfileItems,
)
from perdure.storage.tables import checking, forgetting
from perdure.storage.tables.gathering import Gathering
from perdure.storage.tables.numbering import LOW, number_of_chain
from perdure.storage.tables.packing import pack_id, pack_task, range_of
from perdure.storage.tables.rows import Prepared
from perdure.storage.tables.statements import (
    REMOVE_STAGED,
    REMOVE_STAGED_OF,
    REMOVE_WRITES,
    REMOVE_WRITES_OF,
)

__all__ = ["remove"]


def remove(group: Gathering, member: Prepared) -> None:
    """The member's removals; `group.forgot` if one of them made what was known doubtful."""
    for removal in member.removals:
        match removal:
            case RemoveWrites(thread, ns, checkpoint):
                _remove_step(group, thread, ns, (pack_id(checkpoint),), REMOVE_WRITES)
            case RemoveStaged(thread, ns, checkpoint):
                _remove_step(group, thread, ns, (pack_id(checkpoint),), REMOVE_STAGED)
            case RemoveResult(thread, ns, checkpoint, task):
                place = (pack_id(checkpoint), pack_task(task))
                _remove_step(group, thread, ns, place, REMOVE_WRITES_OF, REMOVE_STAGED_OF)
            case _:
                _remove_now(group, removal, member)


def _remove_step(group: Gathering, thread: str, ns: str, place: tuple[bytes, ...], *statements: str) -> None:
    """What a step leaves behind: gathered, as these come with nearly every commit."""
    name = text_to_bytes(thread)
    if name in group.touched:
        group.flush()  # an earlier member of this group wrote to the thread: its rows come first
    number = number_of_chain(group, name, text_to_bytes(ns))
    if number:
        for statement in statements:
            group.add(statement, (number, *place))


def _remove_now(group: Gathering, removal: object, member: Prepared) -> None:
    """The rare ones: written at once, after all that came before; what was known is asked for again."""
    group.flush()
    group.forgot = True
    known = group.known
    match removal:
        case RemoveThread(thread):
            _remove_thread(group, text_to_bytes(thread))
        case RemoveCheckpoint(thread, ns, id):
            _remove_checkpoint(group, text_to_bytes(thread), text_to_bytes(ns), pack_id(id))
        case RemoveRun(thread, id):
            name = text_to_bytes(thread)
            number_of_chain(group, name, b"")
            group.ask("remove_run", known.threads.get(name, 0), pack_id(id))
        case RemoveSegments(thread, log, start):
            _remove_segments(group, text_to_bytes(thread), log, start)
        case PruneHistory(before, limit):
            _drop_versions(group, group.ask("ended_versions", before, max(limit, 0)))
        case PruneVersions(items, keep, limit):
            for namespace, key in items:
                where = encode_namespace(namespace), text_to_bytes(key)
                _drop_versions(group, group.ask("versions_beyond", *where, keep, max(limit, 0)))
        case ForgetItems(prefix):
            with group.overwriting():
                found = forgetting.forget(group.ask, group.ask_all, range_of(prefix))
            if found:
                group.ask("raise_floor", known.seq + 1)  # that of this commit
        case UnfileItems():
            checking.unfile(group.ask)
        case MendVectors():
            checking.mend_vectors(group.ask, known.seq + 1)
        case MendIndexes():
            checking.mend_indexes(group.ask)
        case _:  # the others are gathered; `Prepared` let no unknown one in
            raise AssertionError(removal)
    seq, last = known.seq, known.last
    known.forget()
    known.seq, known.last = seq, last  # only grew, so still free
    group.learn([member])


def _remove_thread(group: Gathering, name: bytes) -> None:
    number_of_chain(group, name, b"")
    number = group.known.threads.get(name)
    if number is None:
        return
    for statement in ("checkpoints", "writes", "staged", "segments", "logs", "runs", "chains"):
        group.ask(f"remove_thread_{statement}", number)
    group.ask("remove_thread", number)


def _remove_checkpoint(group: Gathering, thread: bytes, ns: bytes, id: bytes) -> None:
    chain = number_of_chain(group, thread, ns)
    if not chain:
        return
    group.ask("name_parent_of_following", chain, id)
    group.ask("remove_checkpoint", chain, id)
    group.ask("remove_all_writes", chain, id)
    group.ask("remove_staged", chain, id)


def _remove_segments(group: Gathering, thread: bytes, log: int, start: int) -> None:
    number_of_chain(group, thread, b"")
    number = group.known.threads.get(thread)
    if number is None:
        return
    for _, _, place in group.ask_many("find_logs", [(number, log)]):
        group.ask("remove_segments", (place << 32) + min(max(start, 0), LOW + 1), (place + 1) << 32)
        group.ask("remove_empty_log", number, log, place)


def _drop_versions(group: Gathering, gone: list[tuple[Any, ...]]) -> None:
    """Versions that are kept no more, as rows of (version, item, whether it is the item's newest: its deletion)."""
    group.ask_all("remove_version", [(version,) for version, _, _ in gone])
    deletions = [(item, version) for version, item, newest in gone if newest]
    if deletions:
        group.ask_all("remove_deleted_item", deletions)
        spaces = [(space,) for space in {item >> 32 for item, _ in deletions}]
        group.ask_all("remove_empty_namespace", spaces)
        group.ask_all("remove_totals", spaces)
        group.ask_all("remove_vector_spaces", spaces)
        group.ask("raise_floor", max(version for _, version in deletions) >> 20)
