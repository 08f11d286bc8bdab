"""What a group has to know of the database before it writes, asked in few questions and kept in `Known`.

Here: the questions. Not here: numbers for what is new (`numbering.py`), whether anything has to be asked (`known.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from perdure.storage.lifetimes import Life
from perdure.storage.tables.gathering import Gathering
from perdure.storage.tables.known import ChainState, ItemState
from perdure.storage.tables.rows import Key, Prepared

__all__ = ["learn"]


def learn(group: Gathering, members: Sequence[Prepared]) -> None:
    """All that the members touch is known from now on."""
    known = group.known
    chains = {chain for member in members for chain in member.chains if chain not in known.chains}
    threads = {name for member in members for name in member.threads if name not in known.threads}
    chains |= {(name, b"") for name in threads}
    if chains:
        for name, ns, thread, chain, head, seq in group.ask_many("find_chains", chains):
            known.chains[name, ns] = ChainState(thread or 0, chain or 0, head, seq or 0)
            if thread:
                known.threads[name] = thread
    logs = {
        (known.threads[segment[0]], segment[1])
        for member in members
        for segment in member.segments
        if segment[0] in known.threads
    }
    logs = {log for log in logs if log not in known.logs}
    if logs:
        for thread, log, number in group.ask_many("find_logs", logs):
            known.logs[thread, log] = number
    keys = {key for member in members for key in member.known_items if key not in known.items}
    if keys:
        _learn_items(group, keys)
    _learn_texts(group, members)


def _learn_items(group: Gathering, keys: set[Key]) -> None:
    known = group.known
    spaces = {space for space, _ in keys if space not in known.namespaces}
    for name, number, most in group.ask_many("find_namespaces", [(space,) for space in spaces]):
        known.namespaces[name] = (number, most or 0)
    wanted = {
        (known.namespaces[space][0], key): (space, key) for space, key in keys if space in known.namespaces
    }
    for number, key, *state in group.ask_many("find_items", wanted):
        id, version, alive, created, updated, idx, length, paths, model, *life = state
        known.items[wanted[number, key]] = ItemState(
            id, version, alive == 1, created, updated, idx, length or 0, paths, model, Life(*life)
        )


def _learn_texts(group: Gathering, members: Sequence[Prepared]) -> None:
    changed = [put for member in members for put in (*member.items, *member.filings, *member.lives)]
    if changed:
        states = [group.known.items.get(put.item) for put in changed]
        items = list(dict.fromkeys(state.id for state in states if state is not None and state.length))
        names = {put.text.analysis for put in changed if put.text is not None}
        names |= {put.vectors.model for put in changed if put.vectors is not None and put.vectors.data}
        group.filing.learn(items, names, group.ask_many)
