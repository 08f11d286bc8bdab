"""Blocking calls of a database, made from an event loop without stopping it.

Here: a small pool of threads of its own, never the one that runs nodes. Databases answer or fail in bounded time.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

THREADS = 8
_pool: ThreadPoolExecutor | None = None


async def aside(work: Callable[[], T]) -> T:
    """The result of `work`, done by a storage thread in a copy of the caller's context.

    A caller that is cancelled goes at once; the work goes on to its end, heard by nobody.
    """
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(THREADS, thread_name_prefix="perdure-store")
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool, context.run, work)


def _after_fork() -> None:
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
