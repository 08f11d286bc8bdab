"""Reads are snapshots: any number of questions about one moment.

Here: `Snapshot`, which joins what is asked of threads, items, their index and their past (`*_answers.py`).
"""

from __future__ import annotations

from typing import Protocol

from perdure.storage.contract.index_answers import IndexAnswers
from perdure.storage.contract.item_answers import ItemAnswers
from perdure.storage.contract.marks import Revision
from perdure.storage.contract.past_answers import PastAnswers
from perdure.storage.contract.thread_answers import ThreadAnswers

__all__ = ["Snapshot"]


class Snapshot(ThreadAnswers, ItemAnswers, IndexAnswers, PastAnswers, Protocol):
    """Answers about one moment. Lists are complete and detached: using them later needs no open snapshot.

    A live item whose `expires` is not after `now()` is left out of every answer, swept or not; except of `text_totals`,
    `postings`, `frequency`, `postings_in` and `terms`, which may count it until it is swept, and of `lapsed`, `history` and
    `touched`, which tell what was written.
    """

    def now(self) -> int:
        """The time by which it judges what has expired: the reader's clock when the snapshot was taken."""
        ...

    def revision(self) -> Revision:
        """The newest commit up to which this snapshot sees all; `Revision(epoch, 0)` before the first.

        Where commits are made side by side it may see later ones already: `changes` tells of them when nothing can come
        before them any more. At least what could be seen when the block began, if this is the first question.
        """
        ...

    def committed(self, commit_id: bytes) -> Revision | None:
        """The revision of the commit with this id, None when it was never applied."""
        ...

    def count(self, table: str) -> int:
        """Rows of `checkpoints | segments | writes | staged | items | history | runs | postings | vectors`: for tests and `db stats`."""
        ...
