"""Which types can be reached from annotations: what a graph's schemas say may be in its state.

Walks unions, containers, `Annotated`, literals, type variables, and the fields of dataclasses, models, named tuples and
TypedDicts. A hint that cannot be resolved hides only itself. Nothing is registered here, no data is read.
Imports `derive`; `registry.py` comes in.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NewType, TypeVar, get_args, get_origin

import typing_extensions

from perdure.codec.derive import is_model, is_named_tuple

__all__ = ["reachable"]

_LITERALS = (Literal, typing_extensions.Literal)


def reachable(roots: Iterable[object]) -> Iterator[type]:
    """Every class that these types and annotations lead to, each once, the roots among them."""
    seen_types: set[type] = set()
    seen_hints: set[int] = set()
    waiting: list[object] = list(roots)
    kept: list[object] = []  # ids are of living objects
    while waiting:
        hint = waiting.pop()
        if isinstance(hint, type) and get_origin(hint) is None:
            if hint not in seen_types:
                seen_types.add(hint)
                yield hint
                waiting.extend(_fields_of(hint))
        elif id(hint) not in seen_hints:
            seen_hints.add(id(hint))
            kept.append(hint)
            waiting.extend(_parts_of(hint))


def _parts_of(hint: object) -> Iterator[object]:
    origin = get_origin(hint)
    if origin is Annotated:
        yield get_args(hint)[0]
    elif origin in _LITERALS:
        yield from map(type, get_args(hint))
    elif isinstance(hint, list | tuple):  # the arguments of a Callable
        yield from hint
    elif origin is not None:
        yield origin
        yield from get_args(hint)
    elif isinstance(hint, NewType):
        yield hint.__supertype__
    elif isinstance(hint, TypeVar):
        yield hint.__bound__
        yield from hint.__constraints__
    elif isinstance(hint, typing_extensions.TypeAliasType) or type(hint).__name__ == "TypeAliasType":
        try:
            yield getattr(hint, "__value__", None)
        except Exception:  # noqa: BLE001 - a lazy alias runs the user's expression, which may raise anything
            return


def _fields_of(cls: type[Any]) -> Iterator[object]:
    if is_model(cls):
        fields: dict[str, Any] = getattr(cls, "model_fields", None) or getattr(cls, "__fields__", {})
        for field in fields.values():
            yield getattr(field, "annotation", None)
    is_dataclass = hasattr(cls, "__dataclass_fields__")
    if is_dataclass or is_model(cls) or is_named_tuple(cls) or typing_extensions.is_typeddict(cls):
        yield from _hints(cls)


def _hints(cls: type) -> Iterable[object]:
    try:
        return typing_extensions.get_type_hints(cls, include_extras=True).values()
    except Exception:  # noqa: BLE001 - resolving runs the user's expressions, which may raise anything
        return _hints_one_by_one(cls)


def _hints_one_by_one(cls: type) -> Iterator[object]:
    for base in cls.__mro__:
        names = vars(sys.modules.get(base.__module__, typing))
        try:
            own = inspect.get_annotations(base)
        except Exception:  # noqa: BLE001, S112 - lazy annotations run the user's expressions (Python 3.14)
            continue
        for name, hint in own.items():
            alone = type("alone", (), {"__annotations__": {name: hint}, "__module__": base.__module__})
            try:
                yield from typing_extensions.get_type_hints(
                    alone, names, dict(vars(base)), include_extras=True
                ).values()
            except Exception:  # noqa: BLE001, S112 - this hint alone stays unknown; its values are refused
                continue
