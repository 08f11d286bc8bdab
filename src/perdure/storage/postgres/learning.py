"""What a group has to know of the database before it writes: asked by names, all in one round trip.

Here: the questions and what their answers mean. Not here: locks (`locks.py`), the transaction (`gathering.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from perdure.storage.lifetimes import Life
from perdure.storage.postgres.parameters import Cells, columns_of
from perdure.storage.postgres.statements import Statements
from perdure.storage.postgres.talking import Said
from perdure.storage.tables.filing import Filing
from perdure.storage.tables.known import ChainState, ItemState, Known
from perdure.storage.tables.rows import Prepared

__all__ = ["Question", "questions", "unknown_indexes"]

Question = tuple[Said, Callable[[list[tuple[Any, ...]]], None]]
"""What is said, and what takes the answer."""


def unknown_indexes(members: Sequence[Prepared], indexes: dict[bytes, int]) -> set[bytes]:
    """Names of analyses and models that the members need and nobody here has met."""
    found: set[bytes] = set()
    for member in members:
        for put in (*member.items, *member.filings):
            if put.text is not None and put.text.analysis not in indexes:
                found.add(put.text.analysis)
            if put.vectors is not None and put.vectors.data and put.vectors.model not in indexes:
                found.add(put.vectors.model)
    return found


def questions(
    members: Sequence[Prepared], known: Known, filing: Filing, statements: Statements
) -> list[Question]:
    """What is to be asked, so that all that the members touch is known."""

    def about(name: str, rows: Sequence[tuple[Any, ...]]) -> Said:
        block = statements[name]
        if len(rows) == 1 and block.of_one is not None:
            return block.of_one, Cells(rows[0])
        return block.text, columns_of(block.kinds, rows)

    found: list[Question] = []
    chains = {chain for member in members for chain in member.chains}
    chains |= {(name, b"") for member in members for name in member.threads}
    if chains:
        found.append((about("find_chains", list(chains)), lambda rows: _chains(known, rows)))
    logs = {(segment[0], segment[1]) for member in members for segment in member.segments}
    if logs:
        found.append((about("find_logs_by_name", list(logs)), lambda rows: _logs(known, rows)))
    keys = {key for member in members for key in member.known_items}
    if keys:
        spaces = [(space,) for space in {space for space, _ in keys}]
        found.append((about("find_namespaces", spaces), lambda rows: _namespaces(known, rows)))
        found.append((about("find_items_by_name", list(keys)), lambda rows: _items(known, filing, rows)))
    for name in unknown_indexes(members, known.indexes):
        found.append(((statements["index_number"].text, (name,)), _index(known, name)))
    return found


def _chains(known: Known, rows: list[tuple[Any, ...]]) -> None:
    for name, ns, thread, chain, head, seq in rows:
        known.chains[name, ns] = ChainState(thread or 0, chain or 0, head, seq or 0)
        if thread:
            known.threads[name] = thread


def _logs(known: Known, rows: list[tuple[Any, ...]]) -> None:
    for thread, log, number in rows:
        known.logs[thread, log] = number


def _namespaces(known: Known, rows: list[tuple[Any, ...]]) -> None:
    for name, number, most in rows:
        known.namespaces[name] = (number, most or 0)


def _items(known: Known, filing: Filing, rows: list[tuple[Any, ...]]) -> None:
    for space, key, id, version, alive, created, updated, idx, length, paths, model, *rest in rows:
        *life, terms = rest
        known.items[space, key] = ItemState(
            id, version, alive == 1, created, updated, idx, length or 0, paths, model, Life(*life)
        )
        if terms is not None:
            filing.learned(id, terms)


def _index(known: Known, name: bytes) -> Callable[[list[tuple[Any, ...]]], None]:
    def take(rows: list[tuple[Any, ...]]) -> None:
        for (number,) in rows:
            known.indexes[name] = number

    return take
