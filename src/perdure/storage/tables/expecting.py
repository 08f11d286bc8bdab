"""Whether a commit may be made: its expectations, held against the database as the group has left it so far.

Here: the checks, before the commit leaves any trace. Not here: what it writes.
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.codec import text_to_bytes
from perdure.storage.contract import (
    CheckpointIs,
    ItemIs,
    SubtreeIs,
    ThreadIs,
    stale_thread,
    unmet,
    version_conflict,
)
from perdure.storage.tables import forgetting
from perdure.storage.tables.gathering import Gathering
from perdure.storage.tables.numbering import number_of_chain
from perdure.storage.tables.packing import pack_id, range_of, unpack_id
from perdure.storage.tables.rows import Prepared, Version

__all__ = ["expect"]


def expect(group: Gathering, member: Prepared) -> None:
    """Passes a member whose expectations hold.

    Raises:
        StaleThread: a head is another, or what it rests on is gone.
        VersionConflict: items have other versions; it names each.
    """
    for chain, id, said in member.heads:
        state = group.known.chains[chain]
        found = state.head
        if found != id or (said.revision is not None and said.revision.seq != state.seq):
            raise stale_thread(said, None if found is None else unpack_id(found))
    for want in member.rests:
        if not _rests(group, want):
            raise unmet(want)
    if member.versions:
        _check_versions(group, member.versions, member.at)


def _rests(group: Gathering, want: CheckpointIs | ThreadIs | SubtreeIs) -> bool:
    if isinstance(want, SubtreeIs):
        group.flush()
        return forgetting.counted(group.ask, range_of(want.prefix)) == want.holds
    name = text_to_bytes(want.thread)
    if name in group.touched:
        group.flush()
    if isinstance(want, ThreadIs):
        number_of_chain(group, name, b"")
        [(newest,)] = group.ask("newest_seq_of_thread", group.known.threads.get(name, 0))
        return newest is None or newest <= want.revision.seq
    chain = number_of_chain(group, name, text_to_bytes(want.ns))
    rows = group.ask("seq_of_checkpoint", chain, pack_id(want.checkpoint))
    return bool(rows) and (want.revision is None or rows[0][0] == want.revision.seq)


def _check_versions(group: Gathering, wanted: Sequence[Version], at: int) -> None:
    failed: list[tuple[ItemIs, int | None]] = []
    for item, version, said in wanted:
        state = group.known.items.get(item)
        found = state.version if state and state.stands(at) else None
        if found != version:
            failed.append((said, found))
    if failed:
        raise version_conflict(failed)
