"""The story of a group: what must be known, what each of its commits does, in one open transaction.

What the writer knows of the database is kept between groups (`known.py`), so in the common case a group asks nothing at
all before it writes. A single commit that needs no question is not even given a transaction: its
statement is one (`combined.py`).

Here: the order of effects within a group. Not here: that within a commit (`storage/tables/committing.py`), the transactions
of groups (`transactions.py`), who leads (`storage/tables/group.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from perdure.errors import PerdureError
from perdure.storage.contract import Outcome, Revision
from perdure.storage.sqlite.combined import Combined
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.gathering import SqliteGathering
from perdure.storage.sqlite.learning import learn
from perdure.storage.sqlite.statements import WIDTH
from perdure.storage.tables.committing import commit_member
from perdure.storage.tables.rows import Prepared
from perdure.storage.tables.statements import place_of

__all__ = ["write", "write_alone"]

_COMMIT = C["commit"]


def write(group: SqliteGathering, members: Sequence[Prepared]) -> list[Outcome]:
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
            outcomes.append(commit_member(group, member))
        except PerdureError as error:
            outcomes.append(error)
        else:
            group.touched |= member.threads
            group.touched.update([chain[0] for chain in member.chains])
    group.flush()
    if group.forgot:
        group.known.forget()
    return outcomes


def write_alone(group: SqliteGathering, member: Prepared, combined: Combined) -> Revision:
    """The commit of a member that `Known.covers`, in a transaction of its own, with its end: one statement if possible.

    Raises:
        StaleThread: as `VersionConflict`; by what is known, which may be out of date. There is no transaction.
        sqlite3.IntegrityError: what is known is out of date, or a segment exists. As any other error: nothing of
            it may be kept, neither what is known nor the transaction, if there is one.
    """
    revision = commit_member(group, member)
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
