"""Which keys a returned (or given) instance of an annotated class writes.

Dataclass: every field. Pydantic: every field that is not None, defaults included, and a None that was set on purpose or
that is not the default. Any other annotated class: every annotated attribute that the instance has.
Imports `hints`; imported by `result`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import Any, TypeAlias

from perdure.channels import MISSING
from perdure.graph.hints import declared, has_annotations, is_pydantic

__all__ = ["Fields", "fields_of", "is_instance_of_annotated_class"]

Fields: TypeAlias = Callable[[Any], list[tuple[str, Any]]]
"""An instance -> its keys and values."""


def is_instance_of_annotated_class(value: object) -> bool:
    """True if `fields_of` knows what to do with values of this kind."""
    return has_annotations(type(value)) and not isinstance(value, Enum | BaseException | type)


@lru_cache(maxsize=512)
def fields_of(kind: type[Any]) -> Fields:
    """How to take an instance of this class apart."""
    if is_pydantic(kind):
        return _pydantic(kind)
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    else:
        names = list(dict.fromkeys(name for base in reversed(kind.__mro__) for name in declared(base)))

    def attributes(instance: object) -> list[tuple[str, Any]]:
        found = [(name, getattr(instance, name, MISSING)) for name in names]
        return [(name, value) for name, value in found if value is not MISSING]

    return attributes


def _pydantic(kind: Any) -> Fields:
    fields: dict[str, Any] = getattr(kind, "model_fields", None) or kind.__fields__
    # A default that is made anew each time counts as not None.
    nothing = {name for name, field in fields.items() if field.default is None and not field.default_factory}
    fields_set = "model_fields_set" if hasattr(kind, "model_fields_set") else "__fields_set__"

    def attributes(instance: object) -> list[tuple[str, Any]]:
        given: set[str] = getattr(instance, fields_set)
        found: list[tuple[str, Any]] = []
        for name in fields:
            value: object = getattr(instance, name)
            if value is not None or name not in nothing or name in given:
                found.append((name, value))
        return found

    return attributes
