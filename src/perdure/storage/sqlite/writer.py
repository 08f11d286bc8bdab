"""The story of a commit: what must be known, what it expects, what goes and what comes, in one open transaction.

What the writer knows of the database is kept between groups (`known.py`), so in the common case a group asks nothing at
all before it writes. A single commit that needs no question is not even given a transaction: its
statement is one (`combined.py`).

Here: the order of effects within a commit and within a group. Not here: each kind of them (`expecting.py`, `removing.py`,
`thread_rows.py`, `item_changes.py`), the transactions of groups (`transactions.py`), who leads (`group.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.errors import PerdureError
from perdure.storage.contract import Outcome, Revision, check_items
from perdure.storage.sqlite.combined import Combined
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.expecting import expect
from perdure.storage.sqlite.gathering import Gathering
from perdure.storage.sqlite.item_changes import change_items
from perdure.storage.sqlite.learning import learn
from perdure.storage.sqlite.numbering import check_indexes
from perdure.storage.sqlite.removing import remove
from perdure.storage.sqlite.rows import Prepared
from perdure.storage.sqlite.statements import ADD_COMMIT, WIDTH, place_of
from perdure.storage.sqlite.thread_rows import add_to_threads

__all__ = ["write", "write_alone"]

_COMMIT = C["commit"]


def write(group: Gathering, members: Sequence[Prepared]) -> list[Outcome]:
    """One outcome a member; the rows of those that may are in the transaction.

    Raises:
        sqlite3.Error: the database refused; nothing in the transaction may be kept.
    """
    if group.known.seq < 0:
        ((group.known.seq,),) = group.ask("newest_seq")
    learn(group, members)
    outcomes: list[Outcome] = []
    for member in members:
        if group.forgot:
            learn(group, (member,))
        try:
            outcomes.append(_commit(group, member))
        except PerdureError as error:
            outcomes.append(error)
        else:
            group.touched |= member.threads
            group.touched.update([chain[0] for chain in member.chains])
    group.flush()
    if group.forgot:
        group.known.forget()
    return outcomes


def write_alone(group: Gathering, member: Prepared, combined: Combined) -> Revision:
    """The commit of a member that `Known.covers`, in a transaction of its own, with its end: one statement if possible.

    Raises:
        StaleThread: as `VersionConflict`; by what is known, which may be out of date. There is no transaction.
        sqlite3.IntegrityError: what is known is out of date, or a segment exists. As any other error: nothing of
            it may be kept, neither what is known nor the transaction, if there is one.
    """
    revision = _commit(group, member)
    if not group.begun:
        group.settle_items()
        kinds: list[str] = []
        values: list[Any] = []
        for kind in sorted(group.rows, key=place_of):
            gathered = group.rows[kind]
            kinds += [kind] * (len(gathered) // WIDTH[kind])
            values += gathered
        text = combined.text(group.db, tuple(kinds))
        if text is not None:
            group.db.execute(text, values)
            return revision
    group.flush()
    group.db.execute(_COMMIT)
    return revision


def _commit(group: Gathering, member: Prepared) -> Revision:
    """One member. It is checked before it leaves any trace, so leaving it out undoes nothing."""
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
