"""Threads that work while something else is done: none may fail, and each must get on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Final

PATIENCE: Final = 60.0


def until(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.005)


class Load:
    """Threads that do each of these again and again, until they are told to stop or one fails."""

    def __init__(self, *works: Callable[[int], object]) -> None:
        self.done = [0] * len(works)
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=item) for item in enumerate(works)]

    def _run(self, place: int, work: Callable[[int], object]) -> None:
        try:
            for number in count():
                if self._stop.is_set():
                    return
                work(number)
                self.done[place] += 1
        except BaseException as error:  # noqa: BLE001 - whatever it was, the test has to show it
            self._failed.append(error)

    def gets_on(self, times: int = 3) -> None:
        """Each of the threads does its work so many times more, from now on."""
        wanted = [done + times + 1 for done in self.done]  # one may have been at its end
        until(lambda: self._failed or all(a >= b for a, b in zip(self.done, wanted, strict=True)))
        assert not self._failed, self._failed

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        if not raised[0]:
            assert not self._failed, self._failed
