"""Worker threads: for nodes, and for waiting on databases. They are daemonic, and none outlives a fork.

Here: `Workers`, and the two sets of them in a process. Not here: what is waited for (`ports.py`).
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Final

__all__ = ["PATIENCE", "Workers", "node_workers", "storage_workers"]

PATIENCE: Final = 0.0005
"""Seconds a queued job waits before another worker thread is started."""


class Workers:
    """Daemonic threads for user code, started when needed and reused. Their number is no limit.

    A job that no thread takes at once is waited for a moment (most jobs are short), then threads are added, doubling.
    """

    def __init__(self, name: str, idle_seconds: float = 10.0) -> None:
        self._name = name
        self._idle_seconds = idle_seconds
        self._jobs: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._idle = 0
        self._threads = 0

    def start(self, job: Callable[[], object]) -> None:
        """The job runs soon, in a thread. It must not raise."""
        self._jobs.put(job)
        if self._idle == 0 and self._threads == 0:
            self.add(1)

    def relieve(self) -> bool:
        """Starts threads for jobs that nobody has taken; False if there are none. Called by whoever waits for results."""
        waiting = self._jobs.qsize()
        if waiting and self._idle == 0:
            self.add(min(waiting, max(2, self._threads)))
        return waiting > 0

    def add(self, number: int) -> None:
        """Starts threads."""
        with self._lock:
            self._threads += number
        for _ in range(number):
            threading.Thread(target=self._work, name=self._name, daemon=True).start()

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                with self._lock:
                    self._idle += 1
                try:
                    job = self._jobs.get(timeout=self._idle_seconds)
                except queue.Empty:
                    with self._lock:
                        self._idle -= 1
                        self._threads -= 1
                    return
                with self._lock:
                    self._idle -= 1
            job()
            del job


_node_workers: Workers | None = None
_storage_workers: Workers | None = None


def node_workers() -> Workers:
    """The threads that run nodes."""
    global _node_workers
    if _node_workers is None:
        _node_workers = Workers("perdure-node")
    return _node_workers


def storage_workers() -> Workers:
    """The threads that wait for databases: never those that run nodes."""
    global _storage_workers
    if _storage_workers is None:
        _storage_workers = Workers("perdure-storage")
    return _storage_workers


def _forget_threads() -> None:
    """After a fork there are none: those of the parent did not come along."""
    global _node_workers, _storage_workers
    _node_workers = _storage_workers = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)
