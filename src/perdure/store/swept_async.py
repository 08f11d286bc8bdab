"""Stores whose expired items can be swept by hand or by a task of an event loop: `AsyncSweptStore`.

As `swept.py`, where the interface wants coroutines.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from perdure.errors import PerdureError
from perdure.storage.sweeping import sweep
from perdure.store.face import BackendStore
from perdure.store.swept import pause_of

__all__ = ["AsyncSweptStore"]

log = logging.getLogger("perdure.storage")


class AsyncSweptStore(BackendStore):
    """A store that sweeps, for programs that await everything. A subclass may open its backend in `_ready`."""

    _sweeping: asyncio.Task[None] | None = None
    _stop_sweeping: Callable[[], object]

    async def setup(self) -> None:
        """The database is open and has its schema. Again: nothing."""
        await self._ready()
        self._backend()

    async def sweep_ttl(self) -> int:
        """How many expired items were removed, in small commits; each is a deletion by the actor `"ttl"` in its history.

        Raises:
            StorageError: the database refused; the batches before are swept.
        """
        await self.setup()
        return await self._aside(lambda: sweep(self._backend()))

    async def start_ttl_sweeper(self, sweep_interval_minutes: float | None = None) -> asyncio.Task[None]:
        """A task of this loop sweeps at once and then now and then, until it is stopped or the store is closed.

        Where the store was opened without `ttl=` the task has nothing to do, and ends.

        Args:
            sweep_interval_minutes: pause between two sweeps, above 0; None: as the store was opened, else 5.

        Returns:
            The task; while one runs, that one.

        Raises:
            QueryError: no number above 0.
        """
        pause = pause_of(self.ttl_config, sweep_interval_minutes)
        await self.setup()
        if self._sweeping is not None and not self._sweeping.done():
            return self._sweeping
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        self._sweeping = asyncio.ensure_future(self._sweep_on(stop, pause))
        self._stop_sweeping = lambda: loop.call_soon_threadsafe(stop.set)
        return self._sweeping

    async def stop_ttl_sweeper(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - the field's name
        """Whether no sweeper runs any more.

        Args:
            timeout: seconds to wait for the end of a sweep in progress; None: as long as it takes.
        """
        if self._sweeping is None or self._sweeping.done():
            return True
        self._stop_sweeping()
        done, _ = await asyncio.wait([self._sweeping], timeout=timeout)
        return bool(done)

    async def _sweep_on(self, stop: asyncio.Event, pause: float) -> None:
        while self.ttl_config is not None and not self._closed:
            try:
                await self._aside(lambda: sweep(self._backend(), stop.is_set))
            except PerdureError as error:
                if self._closed:
                    return
                log.warning("sweeping expired items failed and will be tried again: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), pause)
            except TimeoutError:
                continue
            return

    async def aclose(self) -> None:
        """Stops the sweeper, then lets go of the database. Again: nothing."""
        if self._sweeping is not None and self._sweeping.get_loop() is asyncio.get_running_loop():
            await self.stop_ttl_sweeper()
        await super().aclose()

    def close(self) -> None:
        """As `aclose`; a sweeper ends as soon as its loop runs."""
        if self._sweeping is not None and not self._sweeping.done():
            with suppress(RuntimeError):  # its loop is closed, so it has ended
                self._stop_sweeping()
        super().close()

    async def _ready(self) -> None:
        """Opens the backend where that was not done yet."""
