"""What is asked: the text of a message, whatever form messages have in a program. Pure.

Here: `text_of`. Known are strings, `{"content": ...}`, `("user", "text")`, objects with `.content`, and contents that are
lists of parts. Not here: message types (`perdure.messages`), which have `.content` like anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

from perdure.errors import QueryError

__all__ = ["text_of"]

_TEXTS: Final = frozenset({"text", "input_text", "output_text", "plain_text"})
_NOTHING: Final = object()


def text_of(given: object, of: str) -> str:
    """The text of what a state key holds: of a list of messages, the last one's.

    Args:
        given: a string, a message, a list of messages, or None.
        of: where it stood, for the message of an error.

    Raises:
        QueryError: there is no text in a thing of this kind.
    """
    if isinstance(given, list):
        messages = cast("list[object]", given)
        return text_of(messages[-1], f"{of}[-1]") if messages else ""
    content = _content(given)
    if content is _NOTHING:
        raise QueryError(
            f"{of} is of type {type(given).__name__}, which is no message and has no text. Nothing was read. Give query_from= a function"
            " that makes the query of the state.",
            part=of,
        )
    return "\n".join(_pieces(content))


def _content(given: object) -> object:
    """What a message says: a string, a list of parts or None."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return cast("Mapping[str, object]", given).get("content", _NOTHING)
    if isinstance(given, tuple):
        pair = cast("tuple[object, ...]", given)
        return pair[1] if len(pair) == 2 and isinstance(pair[0], str) else _NOTHING
    return getattr(given, "content", _NOTHING)


def _pieces(content: object) -> Iterator[str]:
    """The texts of a content; pictures, calls of tools and thoughts have none."""
    parts: Sequence[object] = (
        cast("Sequence[object]", content) if isinstance(content, list | tuple) else [content]
    )
    for part in parts:
        text: object = part
        if isinstance(part, Mapping):
            fields = cast("Mapping[str, Any]", part)
            text = fields.get("text") if fields.get("type", "text") in _TEXTS else None
        elif not isinstance(part, str):
            text = getattr(part, "text", None)
        if isinstance(text, str) and text:
            yield text
