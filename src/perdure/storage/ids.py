"""Names that are computed, so that a task, a question, a nested chain has the same one whenever it is met again."""

from __future__ import annotations

import hashlib
from typing import Final

from perdure.constants import PULL, PUSH

NO_TASK: Final = "00000000-0000-0000-0000-000000000000"
"""The task id of writes that belong to the run: answers given by its caller."""


def task_id(checkpoint: str, ns: str, name: str, index: int | None, path: str = "") -> str:
    """A task's id: the same for the same node (and `Send` index) after the same checkpoint of the same chain."""
    place = f"{checkpoint}\0{ns}\0{name}\0{'' if index is None else index}\0{path}"
    digits = hashlib.blake2b(place.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def interrupt_id(task: str, number: int) -> str:
    """The id of a task's question, `number` from 0: 32 hex digits."""
    return hashlib.blake2b(f"{task}\0{number}".encode(), digest_size=16).hexdigest()


def child_ns(ns: str, name: str, task: str, call: int) -> str:
    """The namespace of the `call`-th graph (from 0) that a task calls, in its public form."""
    own = f"{name}:{task}" if call == 0 else f"{name}:{task}|{call}"
    return f"{ns}|{own}" if ns else own


def path_text(index: int | None, name: str) -> str:
    """A task's path as text that sorts as tasks are applied: edge-triggered by name, then `Send`s by index."""
    return f"~{PULL}, {name}" if index is None else f"~{PUSH}, {index:010d}"
