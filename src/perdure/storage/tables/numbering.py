"""Numbers for what a database has by name: threads, chains, logs, namespaces and their items, indexes.

Here: the number of each, a new one with its row where there is none. Not here: what there is already (each backend's `learning.py`).
"""

from __future__ import annotations

from typing import Final

from perdure.errors import StorageError
from perdure.storage.tables.filing import MOST_INDEXES
from perdure.storage.tables.gathering import CHAIN, INDEX, LOG, NAMESPACE, THREAD, Gathering
from perdure.storage.tables.known import ChainState
from perdure.storage.tables.rows import Chain, Prepared
from perdure.storage.tables.statements import ADD_CHAIN, ADD_LOG, ADD_NAMESPACE, ADD_THREAD

__all__ = [
    "LOW",
    "check_indexes",
    "new_item_id",
    "number_of_chain",
    "number_of_index",
    "number_of_log",
    "number_of_thread",
    "numbered",
]

LOW: Final = (1 << 32) - 1
"""The greatest number within a namespace or a log: what is left of an id beside the number of its namespace or log."""


def number_of_thread(group: Gathering, name: bytes) -> int:
    """The thread's number."""
    known = group.known
    number = known.threads.get(name)
    if number is None:
        number = known.threads[name] = group.next_number(THREAD)
        group.add(ADD_THREAD, (number, name))
    return number


def numbered(group: Gathering, chain: Chain) -> ChainState:
    """The chain's state, with numbers."""
    known = group.known
    state = known.chains[chain]
    if not state.chain:
        thread = number_of_thread(group, chain[0])
        state = known.chains[chain] = ChainState(thread, group.next_number(CHAIN), None)
        group.add(ADD_CHAIN, (state.chain, thread, chain[1]))
    return state


def number_of_chain(group: Gathering, thread: bytes, ns: bytes) -> int:
    """The chain's number, 0 if there is none; that of its thread is known then, too."""
    known = group.known
    if (thread, ns) not in known.chains:
        for _, _, number, chain, head, seq in group.ask_many("find_chains", [(thread, ns)]):
            known.chains[thread, ns] = ChainState(number or 0, chain or 0, head, seq or 0)
            if number:
                known.threads[thread] = number
    return known.chains[thread, ns].chain


def number_of_log(group: Gathering, thread: int, log: int) -> int:
    """The number of a thread's log."""
    known = group.known
    number = known.logs.get((thread, log))
    if number is None:
        number = known.logs[thread, log] = group.next_number(LOG)
        group.add(ADD_LOG, (thread, log, number))
    return number


def new_item_id(group: Gathering, space: bytes) -> int:
    """An id for an item that never was in this namespace, by the namespace's encoded name."""
    known = group.known
    number, most = known.namespaces.get(space, (0, 0))
    if not number:
        number = group.next_number(NAMESPACE)
        group.add(ADD_NAMESPACE, (number, space))
    if most >= LOW:
        raise OverflowError("a namespace holds 4,294,967,295 items, which is its limit")
    known.namespaces[space] = (number, most + 1)
    return number << 32 | (most + 1)


def number_of_index(group: Gathering, name: bytes) -> int:
    """The number of an analysis or a model."""
    return group.filing.number(name, lambda: group.next_number(INDEX))


def check_indexes(group: Gathering, member: Prepared) -> None:
    """Raises StorageError if the member needs more indexes than there are numbers for."""
    known = group.known.indexes
    new = {
        name
        for put in (*member.items, *member.filings)
        for name in (put.text and put.text.analysis, put.vectors and put.vectors.model)
        if name and name not in known
    }
    if new and group.greatest_index() + len(new) > MOST_INDEXES:
        raise StorageError(
            f"a database has at most {MOST_INDEXES} ways of indexing (languages, fields, embedding models), and this"
            " would be one more. Nothing was written. Open the store with an `index=` that was used before."
        )
