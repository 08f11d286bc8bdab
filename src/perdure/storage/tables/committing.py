"""The story of a commit: what it expects, what goes and what comes, in the open transaction of its group.

Here: the order of effects within a commit. Not here: each kind of them (`expecting.py`, `removing.py`, `thread_rows.py`,
`item_changes.py`), groups (each backend's writer).
"""

from __future__ import annotations

from perdure.storage.contract import Revision, check_items
from perdure.storage.tables.expecting import expect
from perdure.storage.tables.gathering import Gathering
from perdure.storage.tables.item_changes import change_items
from perdure.storage.tables.numbering import check_indexes
from perdure.storage.tables.removing import remove
from perdure.storage.tables.rows import Prepared
from perdure.storage.tables.statements import ADD_COMMIT
from perdure.storage.tables.thread_rows import add_to_threads

__all__ = ["commit_member"]


def commit_member(group: Gathering, member: Prepared) -> Revision:
    """One member of a group, of the seq behind `known.seq`. It is checked before it leaves any trace, so leaving it out undoes nothing."""
    expect(group, member)
    check_items(member.items)  # a version is the number of its commit << 20, and its place there
    check_indexes(group, member)
    if member.removals:
        remove(group, member)
    known = group.known
    known.seq += 1
    seq = known.seq
    group.add(ADD_COMMIT, (seq, member.id, member.at))
    add_to_threads(group, member, seq)
    change_items(group, member, seq)
    return Revision(0, seq)
