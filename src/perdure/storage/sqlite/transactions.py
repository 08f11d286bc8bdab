"""The writer's transactions: a group between BEGIN IMMEDIATE and COMMIT, and the care of the write-ahead log.

Here: `Transactions`, what the leader of `group.py` calls. Not here: rows (`writer.py`), who leads, snapshots.
One thread at a time; `turn` says whose.
"""

from __future__ import annotations

import copy
import logging
import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from perdure.errors import Busy, PerdureError, StaleThread, StorageError, VersionConflict
from perdure.storage.contract import Outcome, Revision
from perdure.storage.sqlite.combined import Combined
from perdure.storage.sqlite.connections import C, Connection, connect
from perdure.storage.sqlite.faults import busy_because, closed, is_busy, patiently, translated
from perdure.storage.sqlite.files import Place, SideLock
from perdure.storage.sqlite.gathering import SqliteGathering
from perdure.storage.sqlite.statements import Q
from perdure.storage.sqlite.writer import write, write_alone
from perdure.storage.tables.known import Known
from perdure.storage.tables.rows import Prepared

log = logging.getLogger("perdure.storage")

WAL_PAGES: Final = 1000  # then the log is brought into the database and begun anew: 4 MB, some 200 commits

_BEGIN = C["begin_write"]
_COMMIT = C["commit"]
_ROLLBACK = C["rollback"]
_DATA_VERSION = C["data_version"]
_IS_COMMIT = Q["is_commit"]
_HAS_INDEX = Q["index_of_paths"]


class Transactions:
    """The writing side of one database. `write`, `tidy` and `untidy` are the leader's `Work`."""

    def __init__(self, place: Place, database: Connection, side: SideLock | None) -> None:
        self.turn = threading.RLock()  # whoever uses the writer's connection
        self.commits = 0
        self._place = place
        self._db: Connection | None = database
        self._side = side
        self._known = Known()
        self._combined = Combined(usable=place.path is not None)
        self._closed = False
        # Pages of the log: guessed from what was written, corrected by what each checkpoint says it found.
        self._weight = 0
        self._pages_a_weight = 1.0
        self._limit = float(WAL_PAGES)

    def database(self) -> Connection:
        """The writer's connection, opened anew after a fork. Ask while it is your turn."""
        if self._closed:
            raise closed("use", self._place.name)
        if self._db is None:
            self._db = connect(self._place, writes=True)
            self._known = Known()
            self._combined = Combined(usable=True)
        return self._db

    # -- groups ------------------------------------------------------------------------------------------------------

    def write(self, members: Sequence[Prepared], outcomes: list[Outcome], *, wait: bool) -> bool:
        """One transaction for all members, each left out, failed or committed; see `group.Work`."""
        with self.turn:
            if len(members) == 1 and self._write_alone(members[0], outcomes):
                return True
            database = None
            try:
                database = self.database()
                if not self._begin(database, wait=wait):
                    return False
                self._write(database, members, outcomes)
            except PerdureError as error:
                outcomes += [error, *(copy.copy(error) for _ in members[1:])]
            except BaseException:  # a signal in this thread, perhaps between BEGIN and the group
                if database is not None:
                    self._end_ours(database)
                raise
            finally:
                self._unlock()
            return True

    def _write_alone(self, member: Prepared, outcomes: list[Outcome]) -> bool:
        """A single commit that needs no question, if nobody is in the way. False: nothing of it was written."""
        database, known = self._db, self._known
        if database is None or not known.covers(member) or database.in_transaction:
            return False
        if self._side is not None and not self._side.try_lock(alone=False):
            return False
        seq = known.seq + 1
        try:
            outcomes.append(
                write_alone(SqliteGathering(database, known, begun=False), member, self._combined)
            )
        except (StaleThread, VersionConflict):
            return False  # perhaps: what is known may be out of date, and nothing was written yet
        except sqlite3.Error as error:
            self._undo(database)
            if self._stands(database, seq, member):
                outcomes.append(Revision(0, seq))
                return True
            if is_busy(error) or isinstance(error, sqlite3.IntegrityError):
                return False
            outcomes.append(self._outcome(error, "commit"))
            return True
        except Exception as error:  # noqa: BLE001 - see `_write`
            self._undo(database)
            outcomes.append(self._outcome(error, "write"))
            return True
        except BaseException:  # a signal in this thread
            self._undo(database)
            if not outcomes and self._stands(database, seq, member):
                outcomes.append(Revision(0, seq))
            raise
        finally:
            self._unlock()
        self.commits += 1
        self._weight += member.weight
        return True

    def _stands(self, database: Connection, seq: int, member: Prepared) -> bool:
        """Whether the member's commit was made, under this number."""
        try:
            return bool(database.execute(_IS_COMMIT, (seq, member.id)).fetchall())
        except sqlite3.Error:
            return False

    def _all_stand(self, database: Connection, members: Sequence[Prepared], found: Sequence[Outcome]) -> bool:
        """Whether the group was committed, although COMMIT failed: one of its commits tells for all."""
        for member, answer in zip(members, found, strict=True):
            if isinstance(answer, Revision):
                return self._stands(database, answer.seq, member)
        return False

    def _begin(self, database: Connection, *, wait: bool) -> bool:
        """Inside a transaction from now on; False: not at once, and `wait` is False."""
        if self._place.read_only:
            raise StorageError(
                f"{self._place.name} was opened with read_only=True. Nothing was written.",
                operation="commit",
                where=self._place.name,
                hint="Open it without read_only to write.",
            )
        try:
            self._begin_at_once(database)
        except sqlite3.Error as error:
            if not is_busy(error):
                raise translated(error, "commit", self._place.name) from error
            if not wait:
                return False
            patiently(
                lambda: self._begin_at_once(database),
                self._place.busy_timeout_seconds,
                "commit",
                self._place.name,
            )
        return True

    def _begin_at_once(self, database: Connection) -> None:
        """The transaction, and whether what is known of the database still holds."""
        self._end_ours(database)
        if database.in_transaction:
            raise Busy(
                "a transaction is open on the connection that was given to Perdure. Nothing was written.",
                operation="commit",
                where=self._place.name,
                hint="Call connection.commit() first, or give Perdure a connection of its own.",
            )
        if self._side is not None and not self._side.try_lock(alone=False):
            raise busy_because("another process brings the log into the database")
        try:
            database.execute(_BEGIN)
            version = database.execute(_DATA_VERSION).fetchall()[0][0]
        except BaseException:
            self._unlock()
            raise
        known = self._known
        if version != known.data_version:
            known.forget()
            known.data_version = version
        known.trim()

    def _unlock(self) -> None:
        if self._side is not None:
            self._side.unlock()

    def _write(self, database: Connection, members: Sequence[Prepared], outcomes: list[Outcome]) -> None:
        found: list[Outcome] = []
        step = "write"
        try:
            found = write(SqliteGathering(database, self._known), members)
            step = "commit"
            database.execute(_COMMIT)
        except Exception as error:  # noqa: BLE001 - whatever a member did, it and its neighbours must get an answer
            self._undo(database)
            if step == "commit" and self._all_stand(database, members, found):
                outcomes += found  # the disk failed when all was done; nobody may be committed again
            elif len(members) == 1:
                outcomes.append(self._outcome(error, step))
            else:
                self._one_by_one(database, members, outcomes)
            return
        except BaseException:  # a signal in this thread, which is not the members' fault
            if step == "commit" and not database.in_transaction:
                outcomes += found
            else:
                self._undo(database)
            raise
        self.commits += 1
        self._weight += sum(member.weight for member in members)
        outcomes += found

    def _one_by_one(self, database: Connection, members: Sequence[Prepared], outcomes: list[Outcome]) -> None:
        """After something made a group fail as a whole, each alone: who is not to blame does not pay."""
        for member in members:
            try:
                patiently(
                    lambda: database.execute(_BEGIN),
                    self._place.busy_timeout_seconds,
                    "commit",
                    self._place.name,
                )
            except StorageError as error:
                outcomes.append(error)
            else:
                self._known.forget()
                self._write(database, (member,), outcomes)

    def _undo(self, database: Connection) -> None:
        self._known.forget()
        try:
            if database.in_transaction:
                database.execute(_ROLLBACK)
        except sqlite3.Error:
            log.warning("a transaction could not be rolled back", exc_info=True)

    def _end_ours(self, database: Connection) -> None:
        """A signal may have left a transaction open; one on a connection that may be a user's is theirs."""
        if self._place.path is not None and database.in_transaction:
            self._undo(database)

    def _outcome(self, error: Exception, step: str) -> Outcome:
        made = error if isinstance(error, PerdureError) else translated(error, step, self._place.name)
        if made is not error:
            made.__cause__ = error
        return made

    # -- the log -----------------------------------------------------------------------------------------------------

    def untidy(self) -> bool:
        """Whether the write-ahead log is long enough to be brought into the database."""
        return self._weight * self._pages_a_weight >= self._limit

    def tidy(self) -> bool:
        """Brings the log into the database and begins it anew, unless a reader is in the way. Never raises."""
        with self.turn:
            if self._closed or self._place.path is None:
                self._weight = 0
                return True
            try:
                return self._checkpoint("RESTART")
            except (sqlite3.Error, StorageError):
                log.warning(
                    "the write-ahead log could not be brought into the database; later", exc_info=True
                )
                self._limit += WAL_PAGES
                return False

    def _checkpoint(self, mode: str) -> bool:
        """RESTART or TRUNCATE, never PASSIVE: the log must begin anew under one lock (sqlite.org/wal.html, 11)."""
        if self._side is not None and not self._side.try_lock(alone=True):
            self._limit += WAL_PAGES // 4
            return False
        try:
            ((busy, pages, moved),) = self.database().execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        finally:
            self._unlock()
        if self._weight > 100 and pages > 0:
            self._pages_a_weight = max(0.2, min(5.0, pages / self._weight))
        if busy and moved < pages:
            # A reader holds an old snapshot, or another process writes: the log grows on, asked again later.
            self._limit += WAL_PAGES // 4
            return False
        # Busy with all pages moved: a reader still looks at the log. When it is gone the next commit begins the log anew,
        # so what is counted from here on is what the next checkpoint will find.
        self._weight = 0
        self._limit = float(WAL_PAGES)
        return not busy

    def declare(self, indexes: Mapping[str, str]) -> None:
        """Makes those indexes (name -> statement) that are not there yet, one after the other."""
        with self.turn:
            database = self.database()

            missing = [text for name, text in indexes.items() if not self._has(database, name)]
            for text in missing:
                self._change_schema(database, text)
        if missing:
            self.tidy()

    def drop(self, indexes: Sequence[str]) -> None:
        """Drops those of the indexes that are there."""
        with self.turn:
            database = self.database()
            for name in indexes:
                if self._has(database, name):
                    self._change_schema(database, f"DROP INDEX IF EXISTS {name}")

    def _has(self, database: Connection, index: str) -> bool:
        seconds, where = self._place.busy_timeout_seconds, self._place.name
        return bool(
            patiently(lambda: database.execute(_HAS_INDEX, (index,)).fetchall(), seconds, "index", where)
        )

    def _change_schema(self, database: Connection, text: str) -> None:
        def change() -> None:
            if self._side is not None and not self._side.try_lock(alone=False):
                raise busy_because("another process brings the log into the database")
            try:
                database.execute(text)
            finally:
                self._unlock()

        patiently(change, self._place.busy_timeout_seconds, "index", self._place.name)

    def vacuum(self) -> None:
        """Gives free pages back to the system. Others can read meanwhile, not write."""
        with self.turn:
            database = self.database()

            def vacuum() -> None:
                if self._side is not None and not self._side.try_lock(alone=False):
                    raise busy_because("another process brings the log into the database")
                try:
                    database.execute("VACUUM")
                finally:
                    self._unlock()

            patiently(vacuum, self._place.busy_timeout_seconds, "vacuum", self._place.name)
            self._known.forget()
            if self._place.path is not None:
                patiently(
                    lambda: self._checkpoint("TRUNCATE"),
                    self._place.busy_timeout_seconds,
                    "vacuum",
                    self._place.name,
                )

    def scrub(self, wait_seconds: float) -> None:
        """What was deleted is in no file any more: the database is written anew, its log emptied before and after.

        Zeros over deleted rows are not enough: where SQLite moves rows between pages, copies stay behind in unused
        parts of them. The log is emptied first, so that a reader who keeps it is met before the long work.
        """
        if self._place.path is None:
            return

        def emptied() -> None:
            with self.turn:
                limit = self._limit
                if not self._checkpoint("TRUNCATE"):
                    self._limit = limit
                    raise busy_because("somebody reads an older state")

        def patient() -> None:
            patiently(emptied, wait_seconds, "scrub", self._place.name)

        patient()
        self.vacuum()
        patient()

    @contextmanager
    def hold(self, wait_seconds: float) -> Generator[None]:
        """The writing transaction, held open and rolled back: others wait for it as for any commit."""
        with self.turn:
            database = self.database()
            patiently(
                lambda: self._begin_at_once(database), wait_seconds, "hold writers off", self._place.name
            )
            try:
                yield
            finally:
                self._undo(database)
                self._unlock()

    # -- ends and forks ----------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Shortens the log if nobody else needs it, and lets go."""
        with self.turn:
            if self._db is not None and self._place.path is not None and not self._place.read_only:
                try:
                    self._checkpoint("TRUNCATE")
                except (sqlite3.Error, StorageError):
                    log.warning(
                        "the write-ahead log stays; the next to open the database reads it", exc_info=True
                    )
            self.let_go()
            self._closed = True

    def let_go(self) -> None:
        """Closes the connection and the lock's file; the next to write opens them again."""
        database, self._db = self._db, None
        if database is not None:
            database.close()
        if self._side is not None:
            self._side.close()
