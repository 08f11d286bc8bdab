"""Stores whose expired items can be swept by hand or by a thread: `SweptStore`.

Here: the interface's three methods, for blocking callers. Not here: sweeping itself (`storage/sweeping.py`), the same as
coroutines (`swept_async.py`), what hides expired items until then (the backends).
"""

from __future__ import annotations

from concurrent.futures import Future

from perdure.errors import QueryError
from perdure.storage.sweeping import INTERVAL, Sweeper, sweep
from perdure.store.base import TTLConfig
from perdure.store.face import BackendStore

__all__ = ["SweptStore", "pause_of"]


class SweptStore(BackendStore):
    """A store that sweeps: what has expired is invisible at once, and takes space until it is swept."""

    _sweeper: Sweeper | None = None

    def sweep_ttl(self) -> int:
        """How many expired items were removed, in small commits; each is a deletion by the actor `"ttl"` in its history.

        Raises:
            StorageError: the database refused; the batches before are swept.
        """
        return sweep(self._backend())

    def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> Future[None]:
        """A daemon thread sweeps at once and then now and then, until it is stopped or the store is closed.

        Where the store was opened without `ttl=` there is nothing to do, and the future is done.

        Args:
            sweep_interval_minutes: pause between two sweeps, above 0; None: as the store was opened, else 5.

        Returns:
            A future that is done when the thread has ended; while one runs, that of the one.

        Raises:
            QueryError: no number above 0.
        """
        pause = pause_of(self.ttl_config, sweep_interval_minutes)
        self._backend()
        if self.ttl_config is None:
            done: Future[None] = Future()
            done.set_result(None)
            return done
        if self._sweeper is None:
            self._sweeper = Sweeper(lambda stopped: sweep(self._backend(), stopped))
        return self._sweeper.start(pause)

    def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:
        """Whether no sweeper runs any more.

        Args:
            timeout: seconds to wait for the end of a sweep in progress; None: as long as it takes.
        """
        return self._sweeper is None or self._sweeper.stop(timeout)

    def close(self) -> None:
        """Stops the sweeper, then lets go of the database. Again: nothing."""
        if self._sweeper is not None:
            self._sweeper.stop()
        super().close()


def pause_of(config: TTLConfig | None, minutes: float | None) -> float:
    """Seconds between two sweeps. Raises QueryError for no number above 0."""
    if minutes is None:
        minutes = (config or {}).get("sweep_interval_minutes")
    if minutes is None:
        minutes = INTERVAL
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < 1e6:  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        raise QueryError(
            f"sweep_interval_minutes={minutes!r}: give a number of minutes above 0.",
            part="sweep_interval_minutes",
        )
    return minutes * 60
