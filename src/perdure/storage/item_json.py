"""A JSON object as the text that an item's value is stored as: compact UTF-8, lone surrogates passed.

Here: what a value may hold, its size and depth, and every refusal with the path to the part. Tuples become lists. NaN and
the infinities are refused: JSON has no word for them, and NaN would never equal itself. Pure.
Not here: sealing, contracts (`item_codec.py`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Final, cast

from perdure.codec import text_to_bytes
from perdure.errors import EncodingError

__all__ = ["ITEM_BYTES", "ITEM_DEPTH", "json_of"]

ITEM_BYTES: Final = 1024 * 1024
"""An item's value as JSON text has at most so many bytes (1 MiB)."""
ITEM_DEPTH: Final = 200
"""Lists and objects in a value are nested at most so deep."""

_LEAVES: Final = frozenset({str, int, float, bool, type(None)})
_SCALARS: Final = (str, int, float)
_CONTAINERS: Final = (dict, list, tuple)
_dumps = json.JSONEncoder(
    ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
).encode


def json_of(given: object) -> bytes:
    """A JSON object as text, in UTF-8.

    Raises:
        EncodingError: it is no JSON object, too large or too deep; `path` leads to the part.
    """
    if type(given) is dict:
        value = cast("dict[object, object]", given)
    else:
        if not isinstance(given, Mapping):
            raise EncodingError(
                f"value is a {type(given).__name__}; an item holds a JSON object. Nothing was written. {_instead(given)}",
                path="value",
            )
        value = dict(cast("Mapping[object, object]", given))
    if not _is_plain(value):
        _explain(value, [], set())  # most often it raises; kinds of str, int, dict ... and tuples are fine
    try:
        stored = text_to_bytes(_dumps(value))
    except ValueError as error:  # NaN, or an integer of very many digits
        _explain_number(value, "value", error)
        raise EncodingError(
            f"value cannot be written as JSON: {error}. Nothing was written.", path="value"
        ) from error
    except RecursionError as error:
        message = "value is nested too deep for the call it is written from. Nothing was written."
        raise EncodingError(message, path="value") from error
    if len(stored) > ITEM_BYTES:
        raise EncodingError(_too_large(f"{len(stored)} bytes"), path="value")
    return stored


def _instead(given: object) -> str:
    """What to pass instead of an object of this kind."""
    if isinstance(given, type):
        return "Pass a dict."
    if callable(getattr(given, "model_dump", None)):
        return "Pass its .model_dump(mode='json')."
    return "Pass dataclasses.asdict(...) of it." if is_dataclass(given) else "Pass a dict."


def _is_plain(value: dict[object, object]) -> bool:
    """Whether there are only exact JSON types, not too deep. One pass, no recursion; says nothing about why not."""
    stack: list[tuple[object, int]] = [(value, 1)]
    weight = 0
    while stack:
        container, depth = stack.pop()
        if type(container) is dict:
            entries = cast("dict[object, object]", container)
            for key in entries:
                if type(key) is not str:
                    return False
            elements = entries.values()
        else:
            elements = cast("list[object]", container)
        weight += len(elements) + 1
        # Each element has a byte at least: a value that branches into itself ends here before it fills the memory.
        if weight > ITEM_BYTES:
            raise EncodingError(_too_large("more than a million parts"), path="value")
        if depth > ITEM_DEPTH:
            return False
        for element in elements:
            kind = type(element)
            if kind not in _LEAVES:
                if kind is not dict and kind is not list:
                    return False
                stack.append((element, depth + 1))
    return True


def _explain(value: object, steps: list[str | int], around: set[int], weight: int = 0) -> int:
    """Raises for the first part that cannot be saved; returns how many parts there are.

    `steps` lead to `value`, `around` are the ids of what it lies in.
    """
    weight += 1
    if weight > ITEM_BYTES:
        raise EncodingError(_too_large("more than a million parts"), path="value")
    if value is None or isinstance(value, _SCALARS):
        return weight
    if not isinstance(value, _CONTAINERS):
        path = _path(steps)
        message = (
            f"{path} is a {type(value).__module__}.{type(value).__qualname__}, which JSON has no word for. Nothing was "
            "written. Items hold dicts, lists, strings, numbers, booleans and None."
        )
        raise EncodingError(message, path=path)
    if id(cast("object", value)) in around:
        path = _path(steps)
        raise EncodingError(f"{path} contains itself. Nothing was written.", path=path)
    if len(around) >= ITEM_DEPTH:
        path = _path(steps)
        message = f"{path[:80]}... is nested deeper than {ITEM_DEPTH} levels. Nothing was written."
        raise EncodingError(message, path=path)
    around.add(id(cast("object", value)))
    if isinstance(value, dict):
        for key, element in cast("dict[object, object]", value).items():
            if not isinstance(key, str):
                path = _path(steps)
                message = f"{path} has the key {key!r}, a {type(key).__name__}; keys of JSON are strings. Nothing was written."
                raise EncodingError(message, path=path)
            steps.append(key)
            weight = _explain(element, steps, around, weight)
            steps.pop()
    else:
        for place, element in enumerate(cast("list[object]", value)):
            steps.append(place)
            weight = _explain(element, steps, around, weight)
            steps.pop()
    around.remove(id(cast("object", value)))
    return weight


def _path(steps: list[str | int]) -> str:
    return "value" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _explain_number(value: object, path: str, cause: ValueError) -> None:
    """Raises for the number that the encoder did not take."""
    match value:
        case float():
            if not math.isfinite(value):
                message = f"{path} is {value!r}, which JSON has no word for. Nothing was written. Write None, or a string."
                raise EncodingError(message, path=path) from cause
        case int():
            try:
                str(int(value))
            except ValueError:
                message = f"{path} is an integer of too many digits (sys.set_int_max_str_digits). Nothing was written."
                raise EncodingError(message, path=path) from cause
        case dict():
            for key, element in cast("dict[str, object]", value).items():
                _explain_number(element, f"{path}.{key}", cause)
        case list() | tuple():
            for place, element in enumerate(cast("list[object]", value)):
                _explain_number(element, f"{path}[{place}]", cause)
        case _:
            pass


def _too_large(what: str) -> str:
    return f"value has {what}; an item's limit is {ITEM_BYTES} bytes of JSON. Nothing was written. Make it several items."
