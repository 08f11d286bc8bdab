"""A durable step on SQLite: durability="sync", synchronous=FULL, beside one raw insert-and-commit measured right before.

Plain, with one memory write in the node, in the async face, beside a busy thread, and on a RAM disk.
"""

from __future__ import annotations

from common import OURS, load

StateGraph, START, END = load("graph", "StateGraph", "START", "END")
SqliteSaver, AsyncSqliteSaver = load("checkpoint.sqlite" if OURS else "checkpoint.sqlite", "SqliteSaver"), None
