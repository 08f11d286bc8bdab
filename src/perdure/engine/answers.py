"""The book of answers of a run: what its caller gave, looked up by the questions of all its graphs, however deep."""

from __future__ import annotations

import re
import threading
from typing import Any, Final, cast

from perdure.channels.base import MISSING

_ID: Final = re.compile(r"[0-9a-f]{32}")


class Book:
    """Answers by interrupt id, and one that the first unanswered question takes. Safe from any thread."""

    __slots__ = ("_lock", "_scalar", "_scalar_for", "by_id")

    def __init__(self) -> None:
        self.by_id: dict[str, Any] = {}
        self._scalar: Any = MISSING
        self._scalar_for: str | None = None
        self._lock = threading.Lock()

    def give(self, resume: Any) -> None:
        """One answer for the first question that asks."""
        self._scalar = resume

    def take(self, id: str) -> tuple[bool, Any]:
        """(True, the answer) or (False, None)."""
        if id in self.by_id:
            return True, self.by_id[id]
        if self._scalar is MISSING:
            return False, None
        with self._lock:
            answer, self._scalar = self._scalar, MISSING
            if answer is MISSING:
                return False, None
            self._scalar_for = id
            return True, answer

    def give_back(self, id: str) -> None:
        """The answer did not fit its question: it was not given."""
        self.by_id.pop(id, None)


def is_answer_map(resume: Any) -> bool:
    """Whether the resume value answers by id: a dict all of whose keys are interrupt ids."""
    if not isinstance(resume, dict) or not resume:
        return False
    keys = cast("dict[object, object]", resume)
    return all(isinstance(key, str) and _ID.fullmatch(key) for key in keys)
