"""Paths into an item's value, for what of it is embedded: dots, `[0]`, `[-1]`, `[*]`, `*`, `{a,b}`, `$`.

Pure functions. A path that leads nowhere gives nothing, never an error: values differ from item to item.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

__all__ = ["get_text_at_path", "tokenize_path"]


def tokenize_path(path: str) -> list[str]:
    """The path's steps: `"a.b[0].{c,d}"` gives `["a", "b", "[0]", "{c,d}"]`. What is in brackets stays together.

    A bracket that is never closed takes the rest of the path and leads nowhere.
    """
    tokens: list[str] = []
    start = at = 0
    while at < len(path):
        if path[at] in "[{":
            if at > start:
                tokens.append(path[start:at])
            end = _closing(path, at)
            tokens.append(path[at:end])
            start = at = end
        elif path[at] == ".":
            if at > start:
                tokens.append(path[start:at])
            start = at = at + 1
        else:
            at += 1
    if start < len(path):
        tokens.append(path[start:])
    return tokens


def _closing(path: str, opening: int) -> int:
    """Behind the bracket that closes the one at `opening`; the end if none does."""
    one, other = path[opening], {"[": "]", "{": "}"}[path[opening]]
    depth = 0
    for at in range(opening, len(path)):
        depth += (path[at] == one) - (path[at] == other)
        if depth == 0:
            return at + 1
    return len(path)


def get_text_at_path(obj: Any, path: str | list[str]) -> list[str]:  # noqa: ANN401 - any JSON value
    """Every text that the path finds in the value, in order; none is `[]`.

    Numbers and booleans come as text, lists and objects as JSON with sorted keys; None gives nothing. The paths `""`
    and `"$"` give the whole value as JSON.

    Args:
        obj: a JSON value.
        path: a path, or its steps as `tokenize_path` gives them.
    """
    tokens = tokenize_path(path) if isinstance(path, str) else path
    if not tokens or tokens == ["$"]:
        return [_as_json(obj)]
    return list(_texts(obj, tokens, 0))


def _texts(obj: object, tokens: list[str], at: int) -> Iterator[str]:
    if at == len(tokens):
        yield from _text(obj)
        return
    token = tokens[at]
    if token.startswith("["):
        for element in _elements(obj, token):
            yield from _texts(element, tokens, at + 1)
    elif token.startswith("{"):
        if token.endswith("}"):
            for field in token[1:-1].split(","):
                if steps := tokenize_path(field.strip()):
                    yield from _texts(obj, steps + tokens[at + 1 :], 0)
    elif token == "*":  # noqa: S105 - a step of a path
        for element in _children(obj):
            yield from _texts(element, tokens, at + 1)
    elif isinstance(obj, Mapping) and token in obj:
        yield from _texts(cast("Mapping[str, object]", obj)[token], tokens, at + 1)


def _children(obj: object) -> list[object]:
    if isinstance(obj, Mapping):
        return list(cast("Mapping[str, object]", obj).values())
    return list(cast("list[object]", obj)) if isinstance(obj, list | tuple) else []


def _elements(obj: object, token: str) -> list[object]:
    if not isinstance(obj, list | tuple) or not token.endswith("]"):
        return []
    elements = list(cast("list[object]", obj))
    if token == "[*]":  # noqa: S105 - a step of a path
        return elements
    try:
        return [elements[int(token[1:-1])]]
    except (ValueError, IndexError):
        return []


def _text(obj: object) -> list[str]:
    if obj is None:
        return []
    if isinstance(obj, str):
        return [obj]
    if isinstance(obj, int | float):
        return [str(obj)]
    return [_as_json(obj)]


def _as_json(obj: object) -> str:
    return json.dumps(obj, sort_keys=True, ensure_ascii=False)
