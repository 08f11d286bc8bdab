"""A crowd at work while a database is lost and comes back: each brings a thread to its end, whatever it is told meanwhile.

Each step of each thread counts in the thread and in memory, and a watcher sees it all: so in the end it can be told whether
anything was lost, or stands twice.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from crash.program import State, thread
from crash.test_concurrency import begin, check, counts, looping
from perdure import Database, connect
from perdure.engine.headcache import HEADS
from perdure.errors import StorageError, Unavailable


class Crowd:
    """So many threads at one database, for `with`: at its end all have ended, and all was counted once.

    Args:
        url: of the database.
        size: how many threads.
        steps: of each.
        tolerated: what may be told to a caller, who then goes on where the thread stands.

    Attributes:
        errors: what callers were told.
    """

    def __init__(
        self, url: str, size: int = 6, steps: int = 20, tolerated: type[StorageError] = Unavailable
    ) -> None:
        self.errors: list[StorageError] = []
        self._url = url
        self._names = [f"t{number}" for number in range(size)]
        self._steps = steps
        self._tolerated = tolerated
        self._made = 0
        self._moved = threading.Condition()
        self._failed: list[BaseException] = []
        self._seen: list[int] = []
        self._over = threading.Event()

    def __enter__(self) -> Crowd:
        self._db = connect(self._url)
        self._graph: Any = looping(self._counts, self._steps).compile(self._db)
        self._threads = [threading.Thread(target=self._work, args=(name,)) for name in self._names]
        self._watcher = threading.Thread(target=self._guarded, args=(self._watch,))
        for each in (self._watcher, *self._threads):
            each.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, at: Any) -> None:
        for each in self._threads:
            each.join(100)
        self._over.set()
        try:
            if error is None:
                self._stubbornly(lambda: self._db.store.put(("end",), "k", {"is": "here"}))
                self._watcher.join(60)
                assert not self._failed, self._failed
                assert not any(each.is_alive() for each in (self._watcher, *self._threads))
                HEADS.clear()
                self._stubbornly(lambda: self._check(self._db))
        finally:
            self._db.close()

    def wait_for(self, steps: int) -> None:
        """Until so many more steps were begun, by all together; or all have ended."""
        with self._moved:
            until = self._made + steps
            assert self._moved.wait_for(lambda: self._made >= until or self._ended(), 60), self.errors[-3:]

    @property
    def total(self) -> int:
        """How many steps there are, by all together."""
        return len(self._names) * self._steps

    def _ended(self) -> bool:
        return not any(each.is_alive() for each in self._threads)

    def _counts(self, state: State, *, store: Any) -> State:
        with self._moved:
            self._made += 1
            self._moved.notify_all()
        return counts(state, store=store)

    def _work(self, name: str) -> None:
        self._guarded(lambda: self._stubbornly(lambda: self._to_its_end(name)))

    def _to_its_end(self, name: str) -> None:
        state = self._graph.get_state(thread(name))
        if state.created_at is None or state.next:
            given = begin(name) if state.created_at is None else None
            self._graph.invoke(given, thread(name), durability="sync")

    def _stubbornly(self, work: Callable[[], object]) -> None:
        for _ in range(1000):
            try:
                work()
            except self._tolerated as error:
                self.errors.append(error)
                self._over.wait(0.01)
            else:
                return
        raise AssertionError(f"it never ends: {self.errors[-3:]}")

    def _watch(self) -> None:
        at: Any = "0.0"

        def watched() -> None:
            nonlocal at
            for changes in self._db.store.watch(since=at):
                self._seen.extend(event.version for event in changes)
                at = changes.revision
                if any(event.namespace == ("end",) for event in changes):
                    return

        self._stubbornly(watched)

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told at the end
            self._failed.append(error)

    def _check(self, db: Database) -> None:
        check(db, self._names, self._steps)
        with db.backend.read() as now:
            written = [row.version for row in now.changes(None, 1 << 30)]
        assert self._seen == written, "the watcher missed something, or saw it twice"
