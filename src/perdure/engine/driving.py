"""How the engine's coroutine is driven, and what it hands to its driver on the way.

Here: the blocking driver, running in a context, `Item`. Not here: what it waits for (`ports.py`).
"""

from __future__ import annotations

import contextvars
from collections.abc import Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar

__all__ = ["Item", "drive", "forward", "in_context", "to_the_end"]

T = TypeVar("T")


class Item:
    """A streamed item on its way to the driver; awaiting it hands it over."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Item, None, None]:
        yield self


def drive(coro: Coroutine[Any, None, T]) -> T:
    """The result of a coroutine whose ports finish in place. Streamed items are dropped."""
    try:
        while True:
            coro.send(None)
    except StopIteration as stop:
        return stop.value


@coroutine
def in_context(context: contextvars.Context, coro: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Awaits `coro`, every step of which runs in `context`, in the task of the caller: no task of its own is made."""
    run = context.run
    try:
        waiting = run(coro.send, None)
        while True:
            try:
                sent = yield waiting
            except GeneratorExit:
                run(coro.close)
                raise
            except BaseException as error:  # noqa: BLE001 - the coroutine decides
                waiting = run(coro.throw, error)
            else:
                waiting = run(coro.send, sent)
    except StopIteration as stop:
        return stop.value


class forward:
    """Awaits what another coroutine yielded to its loop."""

    __slots__ = ("waiting",)

    def __init__(self, waiting: Any) -> None:
        self.waiting = waiting

    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self.waiting)


async def to_the_end(coro: Coroutine[Any, Any, Any]) -> None:
    """Drives a run that nobody reads any more. Cancelled, it winds up first: what it has begun to write is awaited."""
    answer: Any = None
    failure: BaseException | None = None
    while True:
        try:
            waiting = coro.send(answer) if failure is None else coro.throw(failure)
        except StopIteration:
            return
        answer, failure = None, None
        if type(waiting) is not Item:
            try:
                answer = await forward(waiting)
            except (
                GeneratorExit
            ):  # so CPython tells the task of a generator that is closed that it was cancelled
                from asyncio import CancelledError

                failure = CancelledError()
            except BaseException as error:  # noqa: BLE001 - the engine decides
                failure = error
