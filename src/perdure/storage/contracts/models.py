"""Pydantic models as checks of JSON values, strictly: what is stored is what was put, so nothing is made fit.

Pydantic is not imported: a model brings its validator along. The value is looked at as JSON text, where a date is a string
and a tuple is a list. Here: whether a class is a model, what is wrong with a value. Not here: other types (`shapes.py`).
"""

from __future__ import annotations

from typing import Any, TypeAlias, cast

from perdure.errors import QueryError
from perdure.storage.item_json import json_of

__all__ = ["Found", "is_model", "model_problem", "named", "text_problem"]

Found: TypeAlias = tuple[str, str, str]
"""Path, what is there, what is expected."""


def is_model(kind: type[Any]) -> bool:
    """Whether pydantic knows how to check values of this class: a model, or a dataclass of pydantic's.

    Raises:
        QueryError: it is one whose annotations pydantic could not read.
    """
    if not hasattr(kind, "__pydantic_validator__"):
        return False
    rebuild = getattr(kind, "model_rebuild", None)
    if callable(rebuild) and not getattr(kind, "__pydantic_complete__", True):
        try:
            rebuild()
        except Exception as error:
            raise QueryError(
                f"contract: pydantic cannot read the annotations of {kind!r}: {error}", part="schema"
            ) from error
    return True


def model_problem(kind: Any, value: object) -> Found | None:
    """What is wrong with a value inside another; None: nothing."""
    if not isinstance(value, dict):
        return "", named(value), f"an object, {kind.__name__}"
    return text_problem(kind, json_of(cast("dict[str, Any]", value)))


def text_problem(kind: Any, text: bytes) -> Found | None:
    """What is wrong with an object, given as JSON text; None: nothing."""
    validator = kind.__pydantic_validator__
    try:
        validator.validate_json(text, strict=True)
    except ValueError as error:
        errors = getattr(error, "errors", None)
        if not callable(errors):
            raise
        first = cast("list[dict[str, Any]]", errors(include_url=False))[0]
        return _found(first)
    return None


def _found(error: dict[str, Any]) -> Found:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error["loc"])
    message = str(error["msg"])
    if error["type"] == "missing":
        return path, "missing", "it, as a required field"
    return path, named(error.get("input")), message.removeprefix("Input should be ")


def named(value: object) -> str:
    """What a value is, without telling it."""
    if value is None:
        return "None"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list | tuple):
        return "a list"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
