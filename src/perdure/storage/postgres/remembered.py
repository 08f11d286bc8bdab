"""A step of a thread that this process wrote to before: one round trip, since what must be known is remembered and proved.

What is remembered may be out of date: another process may have written, or removed the thread. So the transaction says what
it believes (`queries/writing.postgres.sql`, `sure`) behind its locks, and fails where that is not so; then it is done the
long way, which asks. Nothing is told to a caller by what is only remembered.

Here: whether a commit can be made so, what it believes, its rows. Not here: what if it fails (`transactions.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from perdure.errors import PerdureError
from perdure.storage.postgres.gathering import PostgresGathering
from perdure.storage.postgres.locks import keys_of
from perdure.storage.postgres.numbers import Numbers
from perdure.storage.postgres.opening import Connection
from perdure.storage.postgres.parameters import Bytes, Cells, Ints
from perdure.storage.postgres.statements import Statements
from perdure.storage.postgres.talking import Said, say_all
from perdure.storage.tables.committing import commit_member
from perdure.storage.tables.known import Known
from perdure.storage.tables.rows import Prepared

__all__ = ["NOT_SO", "Remembered", "Step"]

NOT_SO = "22012"
"""What the server says where it is not as it is remembered: a division by zero."""


class _NotSure(Exception):
    """Something has to be asked."""


class Remembered:
    """Threads that this process wrote to: their chains and logs, as its last commit left them. Used by whoever leads."""

    def __init__(self) -> None:
        self.known = Known()
        self.known.seq = 0

    def learn(self, known: Known, members: Sequence[Prepared]) -> None:
        """What is so after these were committed."""
        mine = self.known
        mine.trim()
        for member in members:
            for chain in member.chains:
                state = known.chains.get(chain)
                if state is not None and state.chain and state.head is not None:
                    mine.chains[chain] = state
                    mine.threads[chain[0]] = state.thread
            for segment in member.segments:
                thread = known.threads.get(segment[0])
                if thread is not None and (thread, segment[1]) in known.logs:
                    mine.logs[thread, segment[1]] = known.logs[thread, segment[1]]

    def forget(self, member: Prepared) -> None:
        """Of what the member touches nothing is known."""
        known = self.known
        for segment in member.segments:
            known.logs.pop((known.threads.get(segment[0], 0), segment[1]), None)
        for chain in member.chains:
            known.chains.pop(chain, None)
        for thread in [*member.threads, *(chain[0] for chain in member.chains)]:
            known.threads.pop(thread, None)

    def covers(self, member: Prepared) -> bool:
        """Whether all that the member touches is remembered: chains that have a head, of their threads; no memory."""
        known = self.known
        known.seq = 0
        return (
            not member.known_items
            and known.covers(member)
            and bool(member.chains)
            and all(known.chains[chain].head is not None for chain in member.chains)
            and member.threads <= {chain[0] for chain in member.chains}
        )


class Step(PostgresGathering):
    """One commit that `Remembered.covers`, in a transaction that is said at once."""

    __slots__ = ("_member", "_proof")

    def __init__(
        self,
        connection: Connection,
        statements: Statements,
        numbers: Numbers,
        remembered: Remembered,
        member: Prepared,
        wait: str = "",
    ) -> None:
        super().__init__(connection, statements, numbers, remembered.known, wait)
        self._member = member
        self._proof = _proof(remembered.known, member)

    def gathered(self) -> bool:
        """Whether its rows are here; False: something has to be asked, or it seems that it may not be made."""
        self.known.seq = -1  # so its number is 0, for which the server puts the one that it draws
        try:
            commit_member(self, self._member)
        except (_NotSure, PerdureError):
            return False
        return True

    def commit_at_once(self, limits: bytes | None) -> int:
        """All of the transaction, from its begin to its end; its seq. An error `NOT_SO` where it is not as remembered."""
        statements = self._statements
        said: list[Said] = [(statements["begin_write"].text, ())]
        if limits:
            said.append((limits, ()))
        said.append(self.locking(keys_of((self._member,), statements.schema, None) or (), 1))
        drawn = len(said) - 1
        name, proof = self._proof
        said.append((statements[name].text, proof))
        said += self._gathered()
        said.append((statements["commit"].text, ()))
        ((seq,),) = say_all(self._connection, said)[drawn]
        chains = self.known.chains
        for chain in self._member.chains:
            if not chains[chain].seq:
                chains[chain] = chains[chain]._replace(seq=seq)
        return seq

    def ask(self, name: str, *values: bytes | int) -> NoReturn:
        """Not here: there is no transaction yet."""
        raise _NotSure

    def ask_all(self, name: str, rows: list[tuple[Any, ...]]) -> NoReturn:
        """See `ask`."""
        raise _NotSure

    def ask_many(self, name: str, rows: Iterable[tuple[Any, ...]]) -> NoReturn:
        """See `ask`."""
        raise _NotSure

    def learn(self, members: Sequence[Prepared]) -> NoReturn:
        """See `ask`."""
        raise _NotSure

    def next_number(self, kind: int) -> NoReturn:
        """See `ask`: what is new is not remembered."""
        raise _NotSure

    def flush(self) -> NoReturn:
        """See `ask`."""
        raise _NotSure


def _proof(known: Known, member: Prepared) -> tuple[str, Sequence[Any]]:
    """What is believed, and the block that takes it: before the commit changes it."""
    states = [known.chains[chain] for chain in member.chains]
    logs = {(known.threads[segment[0]], segment[1]) for segment in member.segments}
    if len(states) == 1 and len(logs) <= 1:
        (state,) = states
        log = (*one, known.logs[one]) if (one := next(iter(logs), None)) else (None, None, None)
        return "sure_of_one", Cells((state.chain, state.head, state.seq, *log, member.id))
    return "sure", (
        Ints([state.chain for state in states]),
        Bytes([state.head for state in states]),
        Ints([state.seq for state in states]),
        len(states),
        Ints([thread for thread, _ in logs]),
        Ints([log for _, log in logs]),
        Ints([known.logs[log] for log in logs]),
        len(logs),
        member.id,
    )
