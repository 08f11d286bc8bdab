"""The words for what cannot be saved or read: what, where, whether anything was written, what to do.

Paths show keys, cut short; values never appear in a message. Imports `derive` and `errors`; `slow.py` comes in.
"""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any

from perdure.codec.derive import is_model, is_named_tuple
from perdure.errors import EncodingError

__all__ = ["damaged", "deeper_than", "in_itself", "key_segment", "refused", "unwritable"]

_SHOWN = 40
_BASES: tuple[type, ...] = (bool, int, float, str, bytes, bytearray, list, tuple, dict, set, frozenset)


def key_segment(key: object) -> str:
    """A key's part of a path: `.name`, `[3]`, `['two words']`; of other keys only the type."""
    if type(key) is str:
        short = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}..."
        return f".{short}" if short.isidentifier() else f"[{short!a}]"
    if key is None or type(key) is bool or (type(key) is int and key.bit_length() <= 64):
        return f"[{key}]"
    return f"[a {type(key).__name__}]"


def refused(value: object, path: str) -> EncodingError:
    """The error for a type that no registry names."""
    cls = type(value)
    name = _name_of(cls)
    base = next((base for base in _BASES if issubclass(cls, base)), None)
    derivable = (
        isinstance(value, Enum) or is_named_tuple(cls) or is_model(cls) or dataclasses.is_dataclass(cls)
    )
    if isinstance(value, type) or callable(value):
        kind = "a class" if isinstance(value, type) else f"a {name} (code)"
        return _error(
            f"{path} is {kind}, which Perdure does not save.", "Save the name and look it up.", path
        )
    if derivable:
        advice = (
            f"Name it in the state's annotations, or register it: perdure.codec.register({cls.__qualname__})."
        )
    elif base is not None:
        advice = (
            f"It would come back as a plain {base.__name__}: make it one before you return it, or register it: "
            f"perdure.codec.register({cls.__qualname__}, encode=..., decode=...)."
        )
    else:
        advice = f"Return plain values, or register it: perdure.codec.register({cls.__qualname__}, encode=..., decode=...)."
    return _error(f"{path} is a {name}, which Perdure does not save.", advice, path)


def unwritable(value: object, path: str, cause: Exception) -> EncodingError:
    """The error for a value whose type is known, but which could not be taken apart."""
    what = f"{path} is a {_name_of(type(value))} that cannot be saved: {type(cause).__name__}: {cause}."
    return _error(what, "Change the value, or how its type is registered.", path)


def in_itself(value: object, path: str) -> EncodingError:
    """The error for a cycle."""
    what = f"{path} is the {_name_of(type(value))} that it stands in: the value contains itself."
    return _error(what, "Save an id where it points back.", path)


def deeper_than(limit: int, path: str) -> EncodingError:
    """The error for too deep a value."""
    shown = path if len(path) <= 4 * _SHOWN else f"{path[: 2 * _SHOWN]} ... {path[-_SHOWN:]}"
    return _error(f"{shown} stands in more than {limit} containers.", "Flatten the value.", path)


def damaged(what: str, why: str) -> EncodingError:
    """The error for stored bytes that make no value."""
    return EncodingError(f"Stored bytes cannot be read: {what} is damaged ({why}).", path="value")


def missing(what: str, module: str) -> EncodingError:
    """The error for a value whose library is not installed here."""
    return EncodingError(
        f"Stored bytes cannot be read: {what} needs {module}, which is not installed here.", path="value"
    )


def _error(what: str, advice: str, path: str) -> EncodingError:
    return EncodingError(f"{what} Nothing was written. {advice}", path=path)


def _name_of(cls: type[Any]) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
