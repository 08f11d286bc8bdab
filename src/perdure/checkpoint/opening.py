"""What `from_conn_string` of the savers gives: `Opening`."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from perdure.checkpoint.face import BackendSaver
from perdure.storage.aside import aside

__all__ = ["Opening"]

S = TypeVar("S", bound=BackendSaver)


class Opening(Generic[S]):
    """A saver that is opened when a `with` or `async with` block is entered, and closed when it ends."""

    def __init__(self, make: Callable[[], S]) -> None:
        """With what opens it."""
        self._make = make
        self._saver: S | None = None

    def __enter__(self) -> S:
        self._saver = self._make()
        return self._saver

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._saver is not None:
            self._saver.close()

    async def __aenter__(self) -> S:
        self._saver = await aside(self._make)
        return self._saver

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._saver is not None:
            await self._saver.aclose()
