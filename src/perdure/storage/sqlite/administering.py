"""What an SQLite database tells its operator, and holding its writers off.

Here: `Administering`, that side of `SqliteBackend`. Not here: copies of the file (`backups.py`), a file that is not opened yet
(`looking.py`).
"""

from __future__ import annotations

import os
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final, cast

from perdure.codec import bytes_to_text, decode_namespace, encode_namespace, text_to_bytes
from perdure.errors import StorageError
from perdure.storage.contract import (
    OWED,
    About,
    Chained,
    Embedded,
    Largest,
    Namespace,
    Snapshot,
    SpaceSize,
    TableSize,
    ThreadSize,
)
from perdure.storage.sqlite.connections import C
from perdure.storage.sqlite.files import SIDE, Place, needs_side_lock
from perdure.storage.sqlite.snapshot import SqliteSnapshot
from perdure.storage.sqlite.statements import Q
from perdure.storage.sqlite.transactions import Transactions
from perdure.storage.tables.embedding_rows import OWED_MODEL
from perdure.storage.tables.packing import unpack_id
from perdure.storage.tables.snapshot import TABLES

__all__ = ["Administering", "reset_bug"]

_OF_CONTRACT: Final = {"history": "versions"}
# A virtual table that not every SQLite is built with, so it is no block of `queries/`. https://sqlite.org/dbstat.html
_PAGES: Final = "SELECT s.tbl_name, sum(d.pgsize) FROM dbstat d JOIN sqlite_schema s ON s.name = d.name WHERE d.aggregate = 1 GROUP BY 1"
_MOST_FAULTS: Final = 100


class Administering(ABC):
    """See the contract, `Administered`."""

    _place: Place
    _work: Transactions

    @abstractmethod
    def read(self) -> AbstractContextManager[Snapshot]:
        """A consistent snapshot."""

    @abstractmethod
    def _check_alive(self) -> None:
        """Raises StorageError if it is closed."""

    def about(self) -> About:
        """What it is: settings, sizes of its files, and what its version of SQLite needs."""
        with self.read() as now:
            ask = cast("SqliteSnapshot", now).ask_plainly
            applied: int = ask(C["applied_migration"])[0][0]
            mode, size, pages, free = (
                str(ask(f"PRAGMA {name}")[0][0])
                for name in ("journal_mode", "page_size", "page_count", "freelist_count")
            )
        path = self._place.path
        facts = [("journal mode", mode), ("page size", size), ("pages", pages), ("free pages", free)]
        if path is not None:
            facts += [
                (what, str(os.stat(path + suffix).st_size))
                for what, suffix in (("file bytes", ""), ("log bytes", "-wal"))
                if os.path.exists(path + suffix)
            ]
            facts.append(("synchronous", self._place.synchronous))
        facts.append(("WAL-reset bug", reset_bug(path)))
        return About("sqlite", path or ":memory:", f"SQLite {sqlite3.sqlite_version}", applied, tuple(facts))

    def sizes(self) -> list[TableSize]:
        """Rows of each table; bytes are pages, those of its indexes included, where SQLite was built with `dbstat`."""
        with self.read() as now:
            rows = {name: now.count(name) for name in TABLES}
            pages = _pages(cast("SqliteSnapshot", now))
        found: list[TableSize] = []
        for name, count in rows.items():
            own = None if pages is None else pages.pop(f"perdure_{_OF_CONTRACT.get(name, name)}", 0)
            found.append(TableSize(name, count, own))
        return [*found, TableSize("other", 0, None if pages is None else sum(pages.values()))]

    def largest(self, limit: int, /) -> Largest:
        """The threads and namespaces with most bytes."""
        with self.read() as now:
            ask = cast("SqliteSnapshot", now).ask_plainly
            threads = ask(Q["largest_threads"], (limit,))
            spaces = ask(Q["largest_namespaces"], (limit,))
        return Largest(
            [ThreadSize(bytes_to_text(name), count, size) for name, count, size in threads],
            [SpaceSize(decode_namespace(name), *rest) for name, *rest in spaces],
        )

    def faults(self, *, quick: bool) -> list[str]:
        """What `PRAGMA integrity_check`, or `quick_check`, says but "ok"."""
        check = f"PRAGMA {'quick_check' if quick else 'integrity_check'}({_MOST_FAULTS})"
        with self.read() as now:
            said = cast("SqliteSnapshot", now).ask_plainly(check)
        return [str(text) for (text,) in said if text != "ok"]

    def strays(self, limit: int, /) -> list[Chained]:
        """Places of pending writes and staged memory that no checkpoint stands at."""
        with self.read() as now:
            rows = cast("SqliteSnapshot", now).ask_plainly(Q["places_of_nobody"], (limit,))
        return [(bytes_to_text(thread), bytes_to_text(ns), unpack_id(id)) for thread, ns, id in rows]

    def embedded(
        self, places: Sequence[tuple[Namespace, str]], /
    ) -> dict[tuple[Namespace, str], tuple[int, Embedded]]:
        """Version and vectors of live items."""
        wanted = [(encode_namespace(space), text_to_bytes(key)) for space, key in places]
        with self.read() as now:
            rows = cast("SqliteSnapshot", now).ask_about_many("embedded_as", wanted)
        found: dict[tuple[Namespace, str], tuple[int, Embedded]] = {}
        for space, key, version, model, name, data in rows:
            where = decode_namespace(space), bytes_to_text(key)
            if model == OWED_MODEL:
                found[where] = version, OWED
            elif data is not None and name is not None:
                found[where] = version, Embedded(bytes_to_text(name), data)
        return found

    def hold(self, wait_seconds: float, /) -> AbstractContextManager[None]:
        """The one writing transaction of the database, in which nothing is written."""
        self._check_alive()
        return self._work.hold(wait_seconds)


def reset_bug(path: str | None, version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> str:
    """Whether this SQLite has "the WAL-reset bug" (https://sqlite.org/wal.html section 11), and what is done about it."""
    name = ".".join(map(str, version))
    if not needs_side_lock(version):
        return f"not in SQLite {name}"
    if path is None:
        return f"in SQLite {name}, of no concern in memory"
    side = os.path.basename(path) + SIDE
    return (
        f"in SQLite {name}; kept off: the log is brought in by RESTART only, and {side} keeps that apart from"
        " commits of other processes"
    )


def _pages(now: SqliteSnapshot) -> dict[str, int] | None:
    try:
        return dict[str, int](now.ask_plainly(_PAGES))
    except StorageError:
        return None
