"""Several processes hear one play between them: who hears which scene is an item of memory, a claim.

A claim ends when its scene is heard, or when nothing was heard of its owner for too long: he writes it again now and then, and
whoever waits watches whether it changes. So nobody's clock is compared with another's. Claims are made, kept and taken over
by `store.update`, which of two who try lets one win.

A claim shares the work and no more: somebody who was only very slow may go on with a scene that another has taken over. What
keeps a speech from being heard twice is the thread itself, which goes on only from the head that was looked at (`if_head`).

Here: `Claims`. Not here: which scene may be heard when (`run.py`). Uses public names only.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any, Final
from uuid import uuid4

from perdure.errors import VersionConflict
from perdure.store.base import BaseStore

__all__ = ["CLAIMS", "SILENCE_SECONDS", "Claims", "Lost"]

CLAIMS: Final = ("claims",)
"""The namespace of claims. It is empty when all is heard."""

SILENCE_SECONDS: Final = 1.0
BEATS: Final = 5  # in that time


class Lost(Exception):
    """The claim is somebody else's, who heard nothing of its owner for too long."""


class _Taken(Exception):
    """Somebody else has it."""


class Claims:
    """The claims of one process, one at a time.

    Args:
        store: in which they are items.
        silence: seconds after which a claim that does not change is nobody's.
    """

    def __init__(self, store: BaseStore, silence: float = SILENCE_SECONDS) -> None:
        self._store = store
        self._silence = silence
        self._me = uuid4().hex
        self._mine: str | None = None
        self._kept_at = 0.0
        self._seen: dict[
            str, tuple[dict[str, Any], float]
        ] = {}  # claims of others, and since when they are so

    def take(self, scene: str) -> bool:
        """Whether the scene is ours from now on, until `drop`."""

        def mine(found: dict[str, Any] | None) -> dict[str, Any]:
            if not self._is_nobodys(scene, found):
                raise _Taken
            return {"by": self._me, "beat": 0}

        try:
            self._store.update(CLAIMS, scene, mine)
        except (_Taken, VersionConflict):
            return False
        self._mine, self._kept_at = scene, perf_counter()
        return True

    def keep(self) -> None:
        """Says that we are still at it, if it is time to.

        Raises:
            Lost: it is somebody else's.
        """
        if self._mine is None or perf_counter() - self._kept_at < self._silence / BEATS:
            return

        def again(found: dict[str, Any] | None) -> dict[str, Any]:
            if found is None or found["by"] != self._me:
                raise Lost
            return {"by": self._me, "beat": found["beat"] + 1}

        self._store.update(CLAIMS, self._mine, again)
        self._kept_at = perf_counter()

    def drop(self) -> None:
        """Others may have the scene; nothing, if they have it already."""
        scene, self._mine = self._mine, None
        if scene is None:
            return
        found = self._store.get(CLAIMS, scene)
        if found is not None and found.value["by"] == self._me:
            try:
                self._store.delete(CLAIMS, scene, if_version=found.version)
            except VersionConflict:
                return

    def is_free(self, scene: str) -> bool:
        """Whether nobody has it, or nothing was heard of who has. Asked again and again, it finds out."""
        found = self._store.get(CLAIMS, scene)
        return self._is_nobodys(scene, None if found is None else found.value)

    def _is_nobodys(self, scene: str, found: dict[str, Any] | None) -> bool:
        if found is None or found["by"] == self._me:
            self._seen.pop(scene, None)
            return True
        now = perf_counter()
        before, since = self._seen.get(scene, (None, now))
        if found != before:
            self._seen[scene] = found, now
            return False
        return now - since > self._silence
