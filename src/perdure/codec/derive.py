"""How dataclasses, pydantic models, enums and named tuples take themselves apart and come together again.

An instance is rebuilt field by field: no `__init__`, no `__post_init__`, no validator runs, because what was saved
passed them once and they need not give the same twice. A field that the class has got since takes its default; one
that it has lost is dropped. Pure functions over types, nothing is registered here.
Imports nothing of Perdure; `registry.py` comes in.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from enum import Enum, Flag
from typing import Any, cast

__all__ = ["Shape", "is_model", "is_named_tuple", "shape_of"]

_set = object.__setattr__  # frozen classes and pydantic models forbid their own


@dataclass(frozen=True, slots=True)
class Shape:
    """A type's parts: `apart` gives the list that is saved, `together` makes the value of such a list, unchecked."""

    apart: Callable[[Any], list[object]]
    together: Callable[[list[Any]], object]


def shape_of(cls: type[Any]) -> Shape | None:
    """How instances of this class are saved, or `None` if that must be said by hand."""
    if _is(cls, Enum):
        return _enum(cls)
    if is_named_tuple(cls):
        return _named_tuple(cls)
    if is_model(cls):
        return _model(cls) if hasattr(cls, "model_fields") else _old_model(cls)
    if dataclasses.is_dataclass(cls) and _is_plain_object(cls):
        return _dataclass(cls)
    return None


def is_named_tuple(cls: type) -> bool:
    """Whether `typing.NamedTuple` or `collections.namedtuple` made it, not a subclass with more in it."""
    return cls.__bases__ == (tuple,) and hasattr(cls, "_fields") and hasattr(cls, "_make")


def is_model(cls: type) -> bool:
    """Whether it is a pydantic model, of version 2 or 1; pydantic is not imported to find out."""
    for name in ("pydantic", "pydantic.v1"):
        base = getattr(sys.modules.get(name), "BaseModel", None)
        if isinstance(base, type) and issubclass(cls, base):
            return cls is not base
    return False


def _is(cls: type, base: type) -> bool:
    return issubclass(cls, base)


def _is_plain_object(cls: type) -> bool:
    try:
        object.__new__(cls)
    except TypeError:  # a dict, a list, an exception ... with fields, or an abstract class
        return False
    return True


def _enum(cls: Any) -> Shape:
    def apart(member: Any) -> list[object]:
        # By name: values may be anything, and `auto()` numbers move. A combination of flags has only its number.
        return [member.name] if member.name in cls.__members__ else [None, member.value]

    def together(parts: list[Any]) -> object:
        if len(parts) == 1:
            return cls.__members__[parts[0]]
        name, value = parts
        if name is not None or not _is(cls, Flag) or type(value) is not int:
            raise ValueError("no member")
        return cls(value)

    return Shape(apart, together)


def _named_tuple(cls: Any) -> Shape:
    names: tuple[str, ...] = cls._fields
    defaults: dict[str, object] = cls._field_defaults

    def together(parts: list[Any]) -> object:
        (stored,) = parts
        return cls._make([stored[name] if name in stored else _or_default(defaults, name) for name in names])

    return Shape(lambda value: [dict(zip(names, value, strict=True))], together)


def _or_default(defaults: dict[str, object], name: str) -> object:
    if name not in defaults:
        raise ValueError(f"the field {name!r} was not saved and has no default")
    return defaults[name]


def _dataclass(cls: Any) -> Shape:
    fields = dataclasses.fields(cls)
    names = frozenset(field.name for field in fields)

    def apart(value: Any) -> list[object]:
        stored = {field.name: getattr(value, field.name) for field in fields if _has(value, field.name)}
        # What `__post_init__` or anybody else has put beside the fields is part of the value; a cache is not.
        beside = {
            name: item for name, item in _own(value).items() if name not in names and not _is_cache(cls, name)
        }
        return [stored, beside] if beside else [stored]

    def together(parts: list[Any]) -> object:
        stored, *rest = parts
        made = object.__new__(cls)
        for field in fields:
            if field.name in stored:
                _set(made, field.name, stored[field.name])
            elif field.default is not MISSING:
                _set(made, field.name, field.default)
            elif field.default_factory is not MISSING:
                _set(made, field.name, field.default_factory())
            elif field.init:
                raise ValueError(f"the field {field.name!r} was not saved and has no default")
        for beside in rest:
            _own(made).update(beside)
        return made

    return Shape(apart, together)


def _has(value: object, name: str) -> bool:
    # `init=False` without a default: perhaps nobody has set it yet.
    return hasattr(value, name)


def _own(value: object) -> dict[str, Any]:
    return getattr(value, "__dict__", {})


def _is_cache(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), functools.cached_property) or name.startswith(
        "__"
    )  # typing's own notes


def _model(cls: Any) -> Shape:
    fields: dict[str, Any] = cls.model_fields

    def apart(model: Any) -> list[object]:
        own = model.__dict__
        stored = own if own.keys() == fields.keys() else {name: own[name] for name in fields if name in own}
        private = model.__pydantic_private__
        kept = {name: item for name, item in private.items() if not _is_undefined(item)} if private else None
        given = model.__pydantic_fields_set__
        parts: list[object] = [
            dict(stored),
            None if given == fields.keys() else list(given),
            model.__pydantic_extra__,
            kept,
        ]
        while parts[-1] is None:
            parts.pop()
        return parts

    names = frozenset(fields)
    allows_extra = cls.model_config.get("extra") == "allow"
    declares_private = bool(cls.__private_attributes__)

    def together(parts: list[Any]) -> object:
        stored, known = parts[0], len(parts)
        given = parts[1] if known > 1 else None
        extra = parts[2] if known > 2 else None
        # Long threads are thousands of messages, nearly all written by the class as it is: no walk over fields for them.
        as_it_is = type(stored) is dict and stored.keys() == names
        content = cast("dict[str, Any]", stored) if as_it_is else completed(stored)
        made = cls.__new__(cls)
        _set(made, "__dict__", content)
        _set(made, "__pydantic_fields_set__", {*(stored if given is None else given)} & names)
        _set(made, "__pydantic_extra__", (dict(extra) if extra else {}) if allows_extra else None)
        private = _private_of(cls, parts[3] if known > 3 else None) if declares_private else None
        _set(made, "__pydantic_private__", private)
        return made

    def completed(stored: Any) -> dict[str, Any]:
        content: dict[str, Any] = {name: stored[name] for name in stored if name in fields}
        for name, field in fields.items():
            if name not in content:
                if field.is_required():
                    raise ValueError(f"the field {name!r} was not saved and has no default")
                content[name] = _model_default(field, content)
        return content

    return Shape(apart, together)


def _model_default(field: Any, content: dict[str, Any]) -> object:
    if getattr(field, "default_factory_takes_validated_data", False):
        return field.default_factory(content)
    return field.get_default(call_default_factory=True)


def _private_of(cls: Any, private: dict[str, Any] | None) -> dict[str, Any]:
    declared: dict[str, Any] = cls.__private_attributes__
    found = {name: attribute.get_default() for name, attribute in declared.items()}
    found |= {name: item for name, item in (private or {}).items() if name in declared}
    return {name: item for name, item in found.items() if not _is_undefined(item)}


def _is_undefined(item: object) -> bool:
    return type(item).__name__ == "PydanticUndefinedType"


def _old_model(cls: Any) -> Shape:
    fields: dict[str, Any] = cls.__fields__

    def apart(model: Any) -> list[object]:
        private = {name: getattr(model, name) for name in cls.__private_attributes__ if hasattr(model, name)}
        parts: list[object] = [dict(model.__dict__), sorted(model.__fields_set__)]
        return [*parts, private] if private else parts

    def together(parts: list[Any]) -> object:
        stored, given, *rest = parts
        content = {
            name: item for name, item in stored.items() if name in fields or cls.__config__.extra == "allow"
        }
        for name, field in fields.items():
            if name not in content:
                if field.required:
                    raise ValueError(f"the field {name!r} was not saved and has no default")
                content[name] = field.get_default()
        made = cls.__new__(cls)
        _set(made, "__dict__", content)
        _set(made, "__fields_set__", set(given))
        made._init_private_attributes()  # as pydantic's own copy() does
        private: dict[str, Any] = rest[0] if rest else {}
        for name, item in private.items():
            if name in cls.__private_attributes__:
                _set(made, name, item)
        return made

    return Shape(apart, together)
