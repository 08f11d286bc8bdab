"""Which declared paths a process believes can be read. Not here: whether it is so, which each answer says itself (`snapshot.py`)."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from perdure.storage.tables.asking import LAST

__all__ = ["Ready"]

_TRUST_SECONDS: Final = 5.0


class Ready:
    """Which paths this process believes can be read, so that others are not asked for. What is asked for says itself whether it is so."""

    def __init__(self) -> None:
        self._names: frozenset[bytes] = frozenset()
        self._until = 0.0

    def forget(self) -> None:
        """Asks anew at the next need."""
        self._until = 0.0

    @property
    def names(self) -> frozenset[bytes] | None:
        """None: to be asked for, and told."""
        return self._names if time.monotonic() < self._until else None

    def tell(self, rows: Sequence[tuple[Any, ...]]) -> frozenset[bytes]:
        """These are there, filled or not, as `declared_paths` gives them."""
        self._names = frozenset(name for _, name, filled in rows if filled == LAST)
        self._until = time.monotonic() + _TRUST_SECONDS
        return self._names
