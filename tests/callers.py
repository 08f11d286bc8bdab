"""Threads that call at once, as tests of queues and locks need them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any


def start(*acts: Callable[[], Any]) -> list[threading.Thread]:
    threads = [threading.Thread(target=act, daemon=True) for act in acts]
    for thread in threads:
        thread.start()
    return threads


def until(true: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if true():
            return
        time.sleep(0.001)
    raise AssertionError("waited in vain")


def join(threads: Sequence[threading.Thread], seconds: float = 20) -> None:
    for thread in threads:
        thread.join(seconds)
        assert not thread.is_alive()
