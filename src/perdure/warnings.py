"""How Perdure says that something will go away.

Here: one category of warnings, the field's names for it, and the one helper that gives the warning.
Imports nothing of Perdure; anybody may import it.
"""

from __future__ import annotations

import sys
import warnings

__all__ = [
    "LangGraphDeprecatedSinceV05",
    "LangGraphDeprecatedSinceV10",
    "LangGraphDeprecatedSinceV11",
    "LangGraphDeprecationWarning",
    "PerdureDeprecationWarning",
    "deprecated",
]


class PerdureDeprecationWarning(DeprecationWarning):
    """Something still works, and will be gone.

    Attributes:
        message: what is deprecated, and what to use instead.
        since: the version, (major, minor), that deprecated it.
        expected_removal: the version that will no longer have it; by default the next major one.
    """

    def __init__(
        self,
        message: str,
        *args: object,
        since: tuple[int, int] = (0, 1),
        expected_removal: tuple[int, int] | None = None,
    ) -> None:
        """Further `args` are kept as the warning's own."""
        super().__init__(message, *args)
        self.message = message.rstrip(".")
        self.since = since
        self.expected_removal = expected_removal or (since[0] + 1, 0)

    def __str__(self) -> str:
        """The message with both versions."""
        since, gone = self.since, self.expected_removal
        return (
            f"{self.message}. Deprecated since {since[0]}.{since[1]}, to be removed in {gone[0]}.{gone[1]}."
        )


# The field has a class for each of its versions. Programs name them in filters, so they all are our one category.
LangGraphDeprecationWarning = PerdureDeprecationWarning
LangGraphDeprecatedSinceV05 = PerdureDeprecationWarning
LangGraphDeprecatedSinceV10 = PerdureDeprecationWarning
LangGraphDeprecatedSinceV11 = PerdureDeprecationWarning


def deprecated(
    thing: str,
    *,
    since: tuple[int, int],
    instead: str | None = None,
    removed_in: tuple[int, int] | None = None,
) -> None:
    """Warns that `thing` will go away, pointing at the first line of the stack that is not Perdure's own.

    Args:
        thing: what is deprecated, as the beginning of a sentence: "Accessing a result by key".
        since: version that deprecated it, (major, minor).
        instead: what to write instead.
        removed_in: version that will no longer have it; by default the next major one.
    """
    text = f"{thing} is deprecated" + (f". Use `{instead}` instead" if instead else "")
    warning = PerdureDeprecationWarning(text, since=since, expected_removal=removed_in)
    warnings.warn(warning, stacklevel=_frames_to_the_caller())


def _frames_to_the_caller() -> int:
    frame, level = sys._getframe(1), 1  # pyright: ignore[reportPrivateUsage]  # CPython's own way to a frame
    while frame.f_back is not None and _is_ours(str(frame.f_globals.get("__name__", ""))):
        frame, level = frame.f_back, level + 1
    return level


def _is_ours(module: str) -> bool:
    # importlib's own frames stand between a module's `__getattr__` and `from module import name`
    return module == "perdure" or module.startswith(("perdure.", "importlib."))
