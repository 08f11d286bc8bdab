"""What a commit locks before it looks: names, as numbers of 64 bits, in one order for everybody.

A thread's name guards all of the thread: chains, logs, runs. A namespace's name guards its items, their numbers, statistics
and vectors. A name need not exist yet, so nobody races for a new one. Two names of one number only wait for each other.
What touches namespaces that it does not name, or very many names, is under way alone: it excludes all others.

Here: which names. Not here: statements (`queries/writing.postgres.sql`).
https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from perdure.codec import encode_namespace, text_to_bytes
from perdure.storage.contract import (
    ForgetItems,
    MendIndexes,
    MendVectors,
    PruneHistory,
    PruneVersions,
    RemoveCheckpoint,
    RemoveRun,
    RemoveSegments,
    RemoveThread,
    SubtreeIs,
    UnfileItems,
)
from perdure.storage.tables.rows import Prepared

__all__ = ["MOST_NAMES", "halves", "key_of_all", "keys_of", "keys_of_spaces", "names_of"]

MOST_NAMES: Final = 256  # the server's table of locks has 64 a connection, shared by all
_INDEXES: Final = "indexes"
_VERY_MUCH: Final = b"\0\0very much"
_SPACE: Final = "namespace"


@lru_cache(maxsize=8192)
def _key(schema: str, kind: str, name: bytes) -> int:
    of = blake2b(name, digest_size=8, key=schema.encode()[:64], person=kind.encode()).digest()
    return int.from_bytes(of, "big", signed=True)


def key_of_all(schema: str) -> int:
    """The key that every commit holds, shared, from before it draws its seq until it can be seen."""
    return _key(schema, "commits", b"")


def halves(key: int) -> tuple[int, int]:
    """The key as `pg_locks` shows it."""
    return key >> 32 & 0xFFFFFFFF, key & 0xFFFFFFFF


def keys_of_spaces(names: Iterable[bytes], schema: str) -> list[int]:
    """What who touches these namespaces locks, in order."""
    return sorted({_key(schema, _SPACE, name) for name in names})


def names_of(member: Prepared) -> set[bytes]:
    """Names of the threads and namespaces that a commit touches; where that is more than it names, one that all such share."""
    names = {chain[0] for chain in member.chains}
    names |= member.threads
    names.update([item[0] for item in member.known_items])
    if member.rare and not _named(member, names, names):
        names.add(_VERY_MUCH)
    return names


def keys_of(members: Sequence[Prepared], schema: str, indexes: object) -> list[int] | None:
    """What these commits lock, in order; None: they are to be under way alone.

    Args:
        members: commits of one transaction.
        schema: whose names these are.
        indexes: if true, they may need numbers for new ways of indexing.
    """
    threads: set[bytes] = set()
    spaces: set[bytes] = set()
    for member in members:
        threads |= member.threads
        threads.update([chain[0] for chain in member.chains])
        spaces.update([item[0] for item in member.known_items])
        if member.rare and not _named(member, threads, spaces):
            return None
    if len(threads) + len(spaces) > MOST_NAMES:
        return None
    found = {_key(schema, "thread", name) for name in threads}
    found |= {_key(schema, _SPACE, name) for name in spaces}
    if indexes:
        found.add(_key(schema, _INDEXES, b""))
    return sorted(found)


def _named(member: Prepared, threads: set[bytes], spaces: set[bytes]) -> bool:
    """Whether a rare commit names all that it touches; its threads and namespaces are added."""
    for want in member.rests:
        if isinstance(want, SubtreeIs):
            return False
        threads.add(text_to_bytes(want.thread))
    for removal in member.removals:
        match removal:
            case ForgetItems() | PruneHistory() | UnfileItems() | MendVectors() | MendIndexes():
                return False
            case PruneVersions(items):
                spaces.update(encode_namespace(namespace) for namespace, _ in items)
            case RemoveThread() | RemoveCheckpoint() | RemoveRun() | RemoveSegments():
                threads.add(text_to_bytes(removal.thread))
            case _:
                pass  # of a step: its chain is among the member's
    return True
