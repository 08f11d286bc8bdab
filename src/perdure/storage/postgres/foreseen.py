"""What was answered last about the vectors of subtrees, so that it can be asked beside the next question (`prompt.py`)."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any, Final

__all__ = ["Foreseen"]

_MOST_SPACES: Final = 100_000
_LARGEST: Final = 10_000  # of one subtree

_Asked = tuple[bytes, bytes, bytes]  # first namespace, end, model


class Foreseen:
    """Of one process. Safe from any thread; nothing of it is believed before the database has said it again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Asked, list[tuple[Any, ...]]] = OrderedDict()
        self._size = 0

    def get(self, asked: _Asked) -> list[tuple[Any, ...]] | None:
        """The rows; None: not known."""
        with self._lock:
            found = self._kept.get(asked)
            if found is not None:
                self._kept.move_to_end(asked)
            return found

    def learn(self, asked: _Asked, rows: list[tuple[Any, ...]]) -> None:
        """These are the rows now."""
        with self._lock:
            before = self._kept.pop(asked, None)
            if before is not None:
                self._size -= len(before) + 1
            if len(rows) > _LARGEST:
                return
            self._kept[asked] = rows
            self._size += len(rows) + 1
            while self._size > _MOST_SPACES:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest) + 1
