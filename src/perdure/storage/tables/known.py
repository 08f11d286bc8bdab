"""What the writer's connection knows of the database, kept between commits.

Numbers of threads, chains, logs, namespaces; heads; items and their versions. It is exact as long as nobody else has committed. A group learns that from `PRAGMA data_version`, inside its transaction; a
single commit from its own row in `perdure_commits`, whose number is one more than the newest that is known: if somebody else
has taken it, the insert fails and nothing is written.

Here: values, and whether they are enough for a commit. Not here: the questions (each backend's `learning.py`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from perdure.storage.lifetimes import FOR_EVER, Life, is_over
from perdure.storage.tables.rows import Chain, Key, Prepared

_REMEMBERED: Final = 20_000  # chains, logs, namespaces, items: some 8 MB


class ChainState(NamedTuple):
    """Numbers of thread and chain (0: none yet), and the head."""

    thread: int
    chain: int
    head: bytes | None
    seq: int = 0  # of the commit that made the head


class ItemState(NamedTuple):
    """An item as the group has left it so far. `alive` False: deleted, its history still kept."""

    id: int
    version: int
    alive: bool
    created: int
    updated: int
    idx: int | None = None  # how it is filed; None: it is not to be found
    length: int = 0  # with how many terms
    paths: bytes | None = None
    model: int | None = None  # of its vectors; None: it has none; 0: they are owed
    life: Life = FOR_EVER

    def stands(self, at: int) -> bool:
        """Whether there is such an item at that time."""
        return self.alive and not is_over(self.life.expires, at)


class Known:
    """What one connection knows of the database. Dropped whenever it may no longer be true."""

    def __init__(self) -> None:
        self.data_version = -1
        self.forget()

    def forget(self) -> None:
        """Nothing is known from now on."""
        self.seq = -1
        self.threads: dict[bytes, int] = {}
        self.chains: dict[Chain, ChainState] = {}
        self.logs: dict[tuple[int, int], int] = {}
        self.namespaces: dict[bytes, tuple[int, int]] = {}  # number, greatest n of an item
        self.items: dict[Key, ItemState] = {}  # that exist, deleted ones included
        self.indexes: dict[bytes, int] = {}
        self.last: list[int] | None = None  # greatest numbers of threads, chains, logs, namespaces, indexes

    def trim(self) -> None:
        """Forgets when there is too much to remember."""
        if len(self.chains) + len(self.logs) + len(self.namespaces) + len(self.items) > _REMEMBERED:
            self.forget()

    def covers(self, member: Prepared) -> bool:
        """Whether all that the member's rows need is known, so that no question has to be asked before they are written."""
        if self.seq < 0 or member.rare:
            return False
        for chain in member.chains:
            if chain not in self.chains:
                return False
        for item in member.known_items:
            if item not in self.items:
                return False
        for put in member.items:
            if self.items[put.item].length or (
                put.text is not None and put.text.analysis not in self.indexes
            ):
                return False  # the terms that it was filed with are to be read
            if put.vectors is not None and put.vectors.data and put.vectors.model not in self.indexes:
                return False
        if member.filings or member.lives:
            return False
        for name in member.threads:
            if name not in self.threads:
                return False
        return all((self.threads[row[0]], row[1]) in self.logs for row in member.segments)
