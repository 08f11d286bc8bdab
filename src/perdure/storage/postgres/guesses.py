"""What a process believes of subtrees: it decides how a question is asked, and nothing of its answer.

Here: `Guesses`. Not here: what an answer rests on, and is asked again (`foreseen.py`).
"""

from __future__ import annotations

from typing import Final

__all__ = ["Guesses"]

_MOST: Final = 10_000


class Guesses:
    """Whether a subtree has few namespaces, as it was last time. Safe from any thread."""

    def __init__(self) -> None:
        self._few: dict[tuple[bytes, bytes], bool] = {}

    def get(self, inside: tuple[bytes, bytes]) -> bool | None:
        """None: not known."""
        return self._few.get(inside)

    def learn(self, inside: tuple[bytes, bytes], few: bool) -> None:
        """It is so now."""
        if len(self._few) >= _MOST:
            self._few = {}  # whoever asks again learns again
        self._few[inside] = few
