"""Savers in this process's memory: `InMemorySaver`, also called `MemorySaver`; and `PersistentDict`.

Here: opening it. What it does is `face.py`'s.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import Callable
from types import TracebackType
from typing import Any

from perdure.checkpoint.face import BackendSaver
from perdure.checkpoint.persistent_dict import PersistentDict
from perdure.checkpoint.serde.base import SerializerProtocol, UntypedSerializerProtocol
from perdure.storage.chains import Pieces
from perdure.storage.memory import MemoryBackend

__all__ = ["InMemorySaver", "MemorySaver", "PersistentDict"]


class InMemorySaver(BackendSaver):
    """A saver in this process's memory: for tests, notebooks, and threads that may end with the program.

    It answers as the durable savers do, errors included: a value that could not be saved is refused here, too.

    Args:
        serde: a serializer for the values, instead of Perdure's own codec.
        factory: taken for compatibility and not used: threads are rows of a backend here, not dicts.
        backend: the data to look at, shared with others that look at it; by default data of its own.
        pieces: the encoding of the values, if it is neither.
    """

    def __init__(
        self,
        *,
        serde: SerializerProtocol | UntypedSerializerProtocol | None = None,
        factory: Callable[..., Any] | None = None,
        backend: MemoryBackend | None = None,
        pieces: Pieces | None = None,
    ) -> None:
        """Empty, unless a backend with data is given."""
        if factory is not None and factory is not defaultdict:
            warnings.warn(
                f"factory={factory!r} is not used: an InMemorySaver ends with its process. To keep threads, use "
                "SqliteSaver.from_conn_string(path).",
                UserWarning,
                stacklevel=2,
            )
        super().__init__(MemoryBackend() if backend is None else backend, pieces, serde=serde)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing: the data is in this object, and programs look at it after the block."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        """Nothing, as above."""


MemorySaver = InMemorySaver
