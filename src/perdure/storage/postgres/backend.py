"""The Postgres backend: groups of commits in two round trips, snapshots on connections of a pool.

Here: `PostgresBackend` and `open_backend`, which gives one of them a database. Not here: transactions (`transactions.py`),
snapshots (`readings.py`), what operators ask (`administering.py`), connections (`connections.py`), who leads (`storage/tables/lanes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final, TypeVar

from perdure.errors import PerdureError, StorageError
from perdure.storage import process
from perdure.storage.contract import (
    Again,
    Backend,
    Commit,
    ItemRow,
    Namespace,
    Outcome,
    Revision,
    Scrubbed,
    Snapshot,
)
from perdure.storage.path_ranges import PathRanges
from perdure.storage.postgres.administering import Administering
from perdure.storage.postgres.declaring import declare, drop
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.faults import closed, translated
from perdure.storage.postgres.halting import Halting
from perdure.storage.postgres.line import Line
from perdure.storage.postgres.migrating import prepare
from perdure.storage.postgres.near import Setting
from perdure.storage.postgres.place import Place, place_of
from perdure.storage.postgres.prompt import PromptReading
from perdure.storage.postgres.readings import Reading, item_in, patiently, token_of
from perdure.storage.postgres.replica import Elsewhere, Replica
from perdure.storage.postgres.scrubbing import scrub, tables_of
from perdure.storage.postgres.tending import tend
from perdure.storage.postgres.transactions import Transactions
from perdure.storage.tables.lanes import Lanes
from perdure.storage.tables.rows import Prepared

__all__ = ["PostgresBackend", "open_backend"]

T = TypeVar("T")
_SETTLE_SECONDS: Final = 1.0  # at opening; what is not known then is found out later

_HALT_SECONDS: Final = 2.0

_by_identity: dict[str, PostgresBackend] = {}  # guarded by `process.opening`


class PostgresBackend(Administering):
    """A Postgres database, in one schema. Safe from any thread; see `contract.Backend` for what every method promises.

    Args:
        place: a URL (see `place_of`), or what it says.

    Raises:
        SchemaTooNew: written by a newer Perdure. It was not touched.
        StorageError: it cannot be opened; the message says why and what to do.
        ValueError: the URL, or an option, cannot be right.

    After a fork the child opens connections of its own.
    """

    def __init__(self, place: str | Place) -> None:
        self._place = place_of(place) if isinstance(place, str) else place
        self._closed = False
        self._users = 1
        self._at_work: set[Halting] = set()  # what takes minutes, and ends when this does
        self._line = Line(self._place)
        try:
            self._identity = self._opened()
        except BaseException:
            self._line.pool.close()
            raise
        read = self._place.read
        self._replica = None if read is None else Replica(read, self._line)
        self._work = Transactions(self._line)
        self._queue: Lanes[Prepared] = Lanes(self._work, lambda: closed("commit", self._place.name))
        process.track(self)

    def _opened(self) -> str:
        connection = self._line.pool.take()
        sound = False
        try:
            prepare(connection, self._place)
            here, _ = self._line.here(connection)
            self._line.horizon.settle(connection, _SETTLE_SECONDS)
            sound = True
        except psycopg.Error as error:
            raise translated(error, "connect", self._place.name) from error
        finally:
            self._line.give(connection, sound=sound)
        return f"postgresql:{here}.{self._place.schema}"

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        waiting, connections = self._queue.waiting, len(self._line.pool)
        return f"<PostgresBackend {self._place.name} {state}, {waiting} commits waiting, {connections} connections>"

    @property
    def identity(self) -> str:
        """Cluster, database and schema, however they were spelt."""
        return self._identity

    @property
    def closed(self) -> bool:
        """Whether the last `close` was called."""
        return self._closed

    # -- commits -----------------------------------------------------------------------------------------------------

    def commit(self, commit: Commit, /) -> Revision:
        """All of `commit`, durably, or an error and nothing of it. Leads a group, or joins one."""
        self._check_alive()
        with self._writing():
            outcome = self._queue.commit((Prepared(commit),))[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def commit_group(self, commits: Sequence[Commit], /) -> list[Outcome]:
        """One outcome a commit, in order, in one transaction."""
        self._check_alive()
        prepared: list[Prepared | PerdureError] = []
        for commit in commits:
            try:
                prepared.append(Prepared(commit))
            except PerdureError as error:
                prepared.append(error)
        members = [member for member in prepared if isinstance(member, Prepared)]
        with self._writing():
            done = iter(self._queue.commit(members) if members else ())
        return [next(done) if isinstance(member, Prepared) else member for member in prepared]

    def commit_soon(self, commit: Commit, done: Callable[[Outcome], Any], /) -> None:
        """Queues the commit; a leader takes it along, or a small thread commits it."""
        try:
            self._check_alive()
            self._queue.commit_soon(Prepared(commit), self._telling(done))
        except PerdureError as error:
            done(error)

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Replicas are not asked before they have what is written in this block."""
        try:
            yield
        finally:
            if self._replica is not None:
                self._replica.wrote()

    def _telling(self, done: Callable[[Outcome], Any]) -> Callable[[Outcome], Any]:
        """As `_writing`, of a commit that somebody else makes."""
        replica = self._replica
        if replica is None:
            return done

        def tell(outcome: Outcome) -> None:
            replica.wrote()
            done(outcome)

        return tell

    # -- reads -------------------------------------------------------------------------------------------------------

    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent snapshot, from the moment its block begins."""
        self._check_alive()
        return Reading(self._line)

    def look(self, question: Callable[[Snapshot], T], revision: Revision | None = None, /) -> T:
        """The answer of a replica, if there are any and one is near enough to the present; else of the primary."""
        self._check_alive()
        if self._replica is not None:
            try:
                return self._replica.look(question, revision)
            except Elsewhere:
                pass
        return self.ask(question)

    def ask(self, question: Callable[[Snapshot], T], /) -> T:
        """The answer of one snapshot, whose moment is that of its first question: beginning and end cost no round trip."""
        self._check_alive()
        with Reading(self._line, at_once=False) as snapshot:
            return question(snapshot)

    def read_promptly(self) -> AbstractContextManager[Snapshot]:
        """A snapshot of few round trips, one for a search in what has not changed."""
        self._check_alive()
        if self._replica is not None:
            raise Again  # it is the replica's to answer
        return PromptReading(self._line)

    def item(self, namespace: Namespace, key: str, /) -> ItemRow | None:
        """The live item: one statement, which is a snapshot by itself."""
        self._check_alive()
        return item_in(self._line, namespace, key)

    @property
    def inline(self) -> bool:
        """False: a server keeps its callers waiting."""
        return False

    def joins(self, other: Backend, /) -> bool:
        """False: two databases have no common transaction."""
        return False

    def commit_with(self, commit: Commit, other: Backend, others: Commit, /) -> Revision:
        """Never: see `joins`."""
        raise StorageError(f"{self!r} cannot commit together with {other!r}; nothing was written.")

    def change_token(self) -> object:
        """A value that differs after any commit, of this process or another. One round trip."""
        self._check_alive()
        return token_of(self._line)

    # -- ends --------------------------------------------------------------------------------------------------------

    def declare_paths(self, paths: Sequence[PathRanges], /) -> None:
        """What stands at each of the paths is filed, and will be by all who write. Others read and write meanwhile."""
        self._check_alive()
        declare(self._line, paths)

    def drop_paths(self, paths: Sequence[PathRanges], /) -> None:
        """What was filed of each of the paths is gone. Others read and write meanwhile."""
        self._check_alive()
        drop(self._line, paths)

    def tend(
        self, model: str, setting: Setting, halting: Halting | None = None, *, insist: bool = True
    ) -> bool:
        """Large namespaces of the model have an index of their vectors; see `tending.tend`. Others read and write meanwhile.

        Raises:
            Halted: by `halting`, or because this was closed.
        """
        halting = halting or Halting()
        halting.ended.clear()
        self._at_work.add(halting)
        try:
            self._check_alive()
            return tend(self._line, model, setting, halting, insist=insist)
        finally:
            self._at_work.discard(halting)
            halting.ended.set()

    def vacuum(self) -> None:
        """Space of rows that are gone is free for others. Readers and writers go on meanwhile."""
        self._check_alive()
        tables = ", ".join(name for name, _ in tables_of(self._line))
        patiently(self._line, f"VACUUM (ANALYZE) {tables}".encode())

    def scrub(self, wait_seconds: float, /) -> Scrubbed:
        """Rows that are gone are vacuumed. The log of the server, its replicas and backups are its operator's."""
        self._check_alive()
        return scrub(self._line, wait_seconds)

    def close(self) -> None:
        """Counts down; the last of those who opened it waits for queued commits and lets go."""
        with process.opening:
            self._users = max(0, self._users - 1)
            if self._users or self._closed:
                return
            if _by_identity.get(self._identity) is self:
                del _by_identity[self._identity]
        self.shut()

    def shut(self) -> None:
        """Closes, however many have it open."""
        self._closed = True
        working = self._at_work.copy()
        for work in working:
            work.halt()
        for work in working:
            work.ended.wait(_HALT_SECONDS)
        self._queue.close()
        self._line.pool.close()
        if self._replica is not None:
            self._replica.close()
        process.untrack(self)

    def _check_alive(self) -> None:
        if self._closed:
            raise closed("use", self._place.name)

    def join(self) -> PostgresBackend:
        """The same object, opened once more: `close` counts."""
        with process.opening:
            self._users += 1
        return self

    # -- forks -------------------------------------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Nobody is in the middle of taking a connection. What is under way on those that are taken goes on, in the parent."""
        self._line.pool.before_fork()
        if self._replica is not None:
            self._replica.before_fork()

    def after_fork(self, *, child: bool) -> None:
        """Lets others in again; the child opens its own connections at first use."""
        self._line.pool.after_fork(child=child)
        if self._replica is not None:
            self._replica.after_fork(child=child)
        if child:
            self._at_work = set()
            self._queue.after_fork()
            self._work.after_fork()
            self._line.after_fork()


def open_backend(source: str | Place) -> PostgresBackend:
    """The one backend of this process for a database and schema, however they are spelt; each call needs its own `close`.

    Args:
        source: a URL, or what it says. Options of the first who opens it hold for all.

    Raises:
        StorageError: it cannot be opened; the message says why and what to do.
        ValueError: the URL, or an option, cannot be right.
    """
    with process.opening:
        made = PostgresBackend(source)
        known = _by_identity.get(made.identity)
        if known is None:
            _by_identity[made.identity] = made
            return made
        known.join()  # before anybody else may close it
    made.close()
    return known
