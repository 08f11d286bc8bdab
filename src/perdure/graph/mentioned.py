"""All classes that the schemas of a graph name: what the codec's registry is told that the graph's threads may hold.

Imports `hints`; imported by `compile`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, cast, get_args

import typing_extensions

from perdure.graph.hints import class_hints, has_annotations, is_pydantic, plain_type

__all__ = ["classes_named_by"]

_NOT_OURS = ("builtins", "typing", "typing_extensions", "collections", "collections.abc", "types")


def classes_named_by(schemas: Iterable[object]) -> tuple[type[Any], ...]:
    """Those schemas that are classes, and every class in the annotations of their keys, and of those classes' fields."""
    found: dict[type[Any], None] = {}
    waiting = list(schemas)
    while waiting:
        hint = plain_type(waiting.pop(0))
        waiting += get_args(hint)
        if not isinstance(hint, type) or hint in found or hint.__module__ in _NOT_OURS:
            continue
        found[hint] = None
        if _is_taken_apart(hint):
            waiting += _hints(hint).values()
    return tuple(found)


def _is_taken_apart(kind: type[Any]) -> bool:
    return (
        typing_extensions.is_typeddict(kind)
        or dataclasses.is_dataclass(kind)
        or is_pydantic(kind)
        or (issubclass(kind, tuple) and has_annotations(cast("type[Any]", kind)))
    )


def _hints(kind: type[Any]) -> dict[str, Any]:
    try:
        return class_hints(kind)
    except Exception:  # noqa: BLE001 - a field's class may name what only type checkers know; it is then not looked into
        return {}
