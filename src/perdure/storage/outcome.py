"""A commit whose outcome is unknown is asked for by its id, so that nobody makes it twice and nobody gives it up.

The connection was lost, or the disk failed, while the database was at it: `Unavailable` with `written=None`. What the
database then says of the commit's id is the truth. Classic name of the case: FoundationDB's `commit_unknown_result`.
"""

from __future__ import annotations

from perdure.errors import PerdureError, Unavailable
from perdure.storage.contract import Backend, Commit, Outcome, Revision


def commit(backend: Backend, commit: Commit) -> Revision:
    """`backend.commit`, asked for where its outcome is unknown."""
    try:
        return backend.commit(commit)
    except Unavailable as error:
        revision = found(backend, commit, error)
        if revision is None:
            raise
        return revision


def known(backend: Backend, commit: Commit, outcome: Outcome) -> Outcome:
    """The outcome; of an unknown one what the database says, or as it is if that says nothing."""
    if not isinstance(outcome, Unavailable):
        return outcome
    return found(backend, commit, outcome) or outcome


def found(backend: Backend, commit: Commit, error: Unavailable) -> Revision | None:
    """The revision of the commit that ended with `error`, if it was made after all; None: it was not, or nobody knows."""
    if error.written is False:
        return None
    try:
        with backend.read() as snapshot:
            return snapshot.committed(commit.id)
    except PerdureError:  # still unavailable: the first error says more
        return None
