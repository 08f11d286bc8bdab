"""How much a database keeps, and where most of it is."""

from __future__ import annotations

from dataclasses import dataclass

from perdure.errors import StorageError
from perdure.storage.contract import Administered, Backend, Largest, SpaceSize, TableSize, ThreadSize

__all__ = ["Statistics", "stats"]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Sizes.

    Attributes:
        tables: rows and bytes of each; bytes None where the database cannot tell.
        threads: those with most bytes, greatest first.
        namespaces: likewise; each without those below it.
    """

    tables: list[TableSize]
    threads: list[ThreadSize]
    namespaces: list[SpaceSize]


def stats(backend: Backend, *, largest: int = 10) -> Statistics:
    """How much there is: of every table, and the largest threads and namespaces. No key is needed.

    Reads the length of every value; others can read and write meanwhile, so numbers of two tables may differ by a commit.

    Args:
        backend: `Database.backend`.
        largest: how many threads and namespaces are named.

    Raises:
        StorageError: this kind of database tells nothing of the sort.
    """
    if not isinstance(backend, Administered):
        raise StorageError(f"{backend!r} does not tell its sizes.", operation="read", where=backend.identity)
    most: Largest = backend.largest(largest)
    return Statistics(backend.sizes(), most.threads, most.namespaces)
