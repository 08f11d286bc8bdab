"""What a database keeps of memory: what a commit does to items, and the versions that snapshots give.

Here: values. Not here: what of them is asked (`item_answers.py`), what takes them away (`removals.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from perdure.errors import StorageError
from perdure.storage.contract.marks import Namespace, Revision

__all__ = [
    "AS_FILED",
    "EXPIRED",
    "ITEMS_A_COMMIT",
    "OWED",
    "Embedded",
    "FileItem",
    "Filed",
    "ItemRow",
    "Origin",
    "PutItem",
    "RefreshItem",
    "SweepItem",
    "check_items",
]

ITEMS_A_COMMIT: Final = 1 << 20
"""A commit writes at most so many versions of items."""


class Origin(NamedTuple):
    """Who wrote a version of an item. Every part may be unknown."""

    thread: str | None = None
    checkpoint: str | None = None  # the checkpoint that the writing step started from
    node: str | None = None
    actor: str | None = None


class Filed(NamedTuple):
    """What a search by words finds of an item: made before the commit, by whoever knows the value."""

    analysis: str  # names what made the terms: those of another name never meet them
    counts: Mapping[str, int]  # term -> how often; no term holds a NUL; empty: nothing to find
    length: int  # terms in all


AS_FILED: Final = Filed("", {}, 0)
"""Of an item whose words are none of this commit's business: it stays filed as it is, by whomever."""


class Embedded(NamedTuple):
    """What a search by meaning finds of an item: its vectors, made before the commit."""

    model: str  # names what made them: vectors of two names are never compared
    data: bytes  # their components one after the other, float32, least byte first; empty: nothing to find


OWED: Final = Embedded("", b"")
"""Of an item whose vectors are to be made later: the database remembers it until it has some, or is written again."""


class PutItem(NamedTuple):
    """The item has this value from this commit on; `value=None`: it is gone. Each one is a version of its own."""

    namespace: Namespace
    key: str
    value: bytes | None
    origin: Origin = Origin()
    filed: Filed | None = None  # None: no search by words finds it until it is filed
    paths: tuple[str, ...] | None = None  # what of it is to be found; (): nothing; None: what the store says
    embedded: Embedded | None = (
        None  # None: no search by meaning finds it until it is embedded; OWED: so, for now
    )
    ttl: int | None = (
        None  # microseconds that it lives from the commit on, and from each reading; None: for ever
    )
    expires: int | None = None  # microseconds since 1970, instead of so long after the commit
    keeps: bool = False  # if there is such an item now: its `ttl` and `expires` stay, whatever is said here
    times: tuple[int, int] | None = (
        None  # created, updated (microseconds), of an item that comes from elsewhere; else now
    )


class FileItem(NamedTuple):
    """The live item is filed or embedded anew, if it still has this version: no version is made, the value stays."""

    namespace: Namespace
    key: str
    version: int
    filed: Filed | None  # None: nowhere, until somebody files it; AS_FILED: as it is
    embedded: Embedded | None = None  # None: its vectors stay, and what is owed; empty: both go


class RefreshItem(NamedTuple):
    """The live item lives until then, if it still has this version: no version is made. Never shortens, nor gives an end.

    Also where its time was over and nobody has swept it: whoever commits this has promised it earlier.
    """

    namespace: Namespace
    key: str
    version: int
    expires: int


class SweepItem(NamedTuple):
    """If the item's time is over it goes: a deletion by the actor `EXPIRED`, which is a version. Else nothing."""

    namespace: Namespace
    key: str


EXPIRED: Final = Origin(actor="ttl")
"""Who deletes what has expired."""


class ItemRow(NamedTuple):
    """A version of an item, as reads give it."""

    namespace: Namespace
    key: str
    value: bytes | None  # None: a deletion, seen in `changes` only
    created_at: int  # microseconds; kept over replacements, begun anew after a deletion
    updated_at: int  # never before the item's earlier versions, wherever the clock stands
    version: int  # from the database's one sequence; grows with every write; never reused
    revision: Revision
    origin: Origin
    paths: tuple[str, ...] | None = None  # as it was put; of live items only
    expires: int | None = (
        None  # microseconds: gone from then on; of an earlier version, where refreshing had moved it
    )
    ttl: int | None = None  # microseconds that it lives anew when it is read


def check_items(puts: Sequence[Any]) -> None:
    """Passes what one commit takes.

    Raises:
        StorageError: more than `ITEMS_A_COMMIT`. Nothing was written.
    """
    if len(puts) > ITEMS_A_COMMIT:
        raise StorageError(
            f"a commit of {len(puts):,} items; at most {ITEMS_A_COMMIT:,} are written at once. Nothing was written.",
            operation="commit",
            hint="Write them in parts, each a commit of its own.",
        )
