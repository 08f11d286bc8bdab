"""What a schema says: its keys, each with a channel or a managed value, and how an instance of it is made.

Here: a TypedDict, dataclass, pydantic model, other annotated class, or bare type -> `Schema`; reducers out of `Annotated`.
Not here: the fields of a returned instance (`instances.py`), several schemas of one graph (`builder.py`).
Imports `hints`, `channels`, `managed`; imported by `builder`, `compile` and `result`.
"""

from __future__ import annotations

import dataclasses
import inspect
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, TypeGuard, cast, get_args, get_origin

from perdure.channels import BaseChannel, BinaryOperatorAggregate, LastValue
from perdure.constants import END, ERROR, INPUT, INTERRUPT, RESUME, ROOT, START, TASKS
from perdure.graph.hints import class_hints, has_annotations, is_pydantic, metadata_of, plain_type, unaliased
from perdure.managed import ManagedValue, is_managed_value

__all__ = ["Build", "Schema", "class_of", "schema_of"]

Build = Callable[[dict[str, Any]], Any]
"""Makes an instance from those keys that have a value."""

_RESERVED = frozenset({START, END, INPUT, TASKS, ERROR, INTERRUPT, RESUME, ROOT})
_RESERVED_BEGINNINGS = ("branch:to:", "join:")


@dataclass(frozen=True, slots=True)
class Schema:
    """A view on the state of a graph.

    Attributes:
        type: the class or type it was made from.
        channels: key -> channel, in the order of the schema; the one key `__root__` for a bare type.
        managed: key -> the class that works its value out.
        order: all keys in the order of the schema.
        build: makes what a node gets out of a dict; None if that is the dict.
    """

    type: Any
    channels: Mapping[str, BaseChannel[Any, Any, Any]]
    managed: Mapping[str, type[ManagedValue[Any]]]
    order: tuple[str, ...]
    build: Build | None

    @property
    def name(self) -> str:
        """For messages."""
        return str(getattr(self.type, "__name__", self.type))

    @property
    def is_root(self) -> bool:
        """True if the state is one value instead of keys."""
        return self.order == (ROOT,)

    @property
    def read(self) -> tuple[str, ...] | str:
        """What a node with this schema reads, as in `NodeSpec`."""
        return ROOT if self.is_root else self.order

    @property
    def written(self) -> tuple[str, ...]:
        """The keys that can be written."""
        return tuple(self.channels)


def schema_of(declared: object) -> Schema:
    """The schema that a type describes.

    Raises:
        TypeError: a value was given instead of a type.
        ValueError: a reducer does not take two arguments; a key has a reserved name.
        NameError: an annotation cannot be worked out.
    """
    found = unaliased(declared)
    schema = class_of(found)
    if schema is None:
        _warn_unless_a_type(found)
        return Schema(found, {ROOT: _root_channel(found)}, {}, (ROOT,), None)
    hints = _fields(schema)
    channels: dict[str, BaseChannel[Any, Any, Any]] = {}
    managed: dict[str, type[ManagedValue[Any]]] = {}
    for key, hint in hints.items():
        if key in _RESERVED or key.startswith(_RESERVED_BEGINNINGS):
            raise ValueError(
                f"{schema.__name__}.{key}: {key!r} is a reserved name. Choose another one for this key."
            )
        if manager := _manager(hint):
            managed[key] = manager
        else:
            channels[key] = channel_of(key, hint)
    return Schema(schema, channels, managed, tuple(hints), _build(schema))


def class_of(declared: object) -> type[Any] | None:
    """The class with annotated keys that this type form is; None for any other type.

    `State[int]` of a generic schema counts as `State`.
    """
    for candidate in (declared, get_origin(declared)):
        if has_annotations(candidate):
            return cast("type[Any]", candidate)
    return None


def _warn_unless_a_type(declared: object) -> None:
    try:
        hash(declared)
    except TypeError as error:
        raise TypeError(
            f"A state schema is a class, or a type such as Annotated[list, operator.add], not a value: {declared!r} "
            f"of type {type(declared).__name__}."
        ) from error
    if not isinstance(declared, type) and not get_args(declared):
        warnings.warn(
            f"Invalid state schema: {declared!r}. Expected a class with annotated keys, or a type such as "
            "Annotated[list, operator.add].",
            UserWarning,
            stacklevel=4,
        )


# ---- keys


def _fields(schema: type[Any]) -> dict[str, Any]:
    hints = class_hints(schema)
    names: Any
    if is_pydantic(schema):
        names = getattr(schema, "model_fields", None) or getattr(schema, "__fields__", {})
    elif dataclasses.is_dataclass(schema):
        names = [field.name for field in dataclasses.fields(schema)]
    else:
        names = [
            name for name, hint in hints.items() if hint is not ClassVar and get_origin(hint) is not ClassVar
        ]
    return {name: hints[name] for name in names if name in hints}


def _manager(hint: object) -> type[ManagedValue[Any]] | None:
    for item in reversed(metadata_of(hint)):
        if is_managed_value(item):
            return item
    return None


def channel_of(key: str, hint: object) -> BaseChannel[Any, Any, Any]:
    """The channel that a key's annotation asks for.

    Raises:
        ValueError: a reducer does not take two arguments.
    """
    channel = _asked_for(key, hint) or LastValue(plain_type(hint))
    channel.key = key
    return channel


def _root_channel(hint: object) -> BaseChannel[Any, Any, Any]:
    return channel_of(ROOT, hint)


def _asked_for(key: str, hint: object) -> BaseChannel[Any, Any, Any] | None:
    metadata = metadata_of(hint)
    typ = plain_type(hint)
    for item in reversed(metadata):
        if isinstance(item, BaseChannel):
            return cast("BaseChannel[Any, Any, Any]", item).copy()  # the annotation's own serves every graph
        if isinstance(item, type) and issubclass(item, BaseChannel):
            return cast("type[BaseChannel[Any, Any, Any]]", item)(typ)
    for item in reversed(metadata):
        # Classes are marks of other libraries here (pydantic's, documentation's), not functions of two values.
        if callable(item) and not isinstance(item, type):
            if not _takes_two(item):
                raise ValueError(
                    f"Invalid reducer signature. Expected (a, b) -> c. Got {inspect.signature(item)}. "
                    f"A reducer takes the present value and an update; this one, of the key {key!r}, stands in {hint}."
                )
            return BinaryOperatorAggregate(typ, item)
    return None


def _takes_two(function: object) -> TypeGuard[Callable[[Any, Any], Any]]:
    try:
        parameters = inspect.signature(cast("Callable[..., Any]", function)).parameters.values()
    except (TypeError, ValueError):  # a built-in without a signature: it shows when it is called
        return True
    return sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters) == 2


# ---- instances


def _build(schema: type[Any]) -> Build | None:
    if is_pydantic(schema):
        return _build_pydantic(schema)
    if dataclasses.is_dataclass(schema):
        return partial(
            _build_dataclass, schema, frozenset(f.name for f in dataclasses.fields(schema) if f.init)
        )
    return None


def _build_dataclass(schema: Callable[..., Any], taken: frozenset[str], values: dict[str, Any]) -> object:
    if taken.issuperset(values):
        return schema(**values)
    made = schema(**{key: value for key, value in values.items() if key in taken})
    for key in values.keys() - taken:  # fields with init=False
        object.__setattr__(made, key, values[key])
    return made


def _build_pydantic(schema: Any) -> Build:
    validate: Build | None = getattr(schema, "model_validate", None)
    if validate is None:  # pydantic 1
        return lambda values: schema(**values)
    config: Mapping[str, Any] = schema.model_config
    renamed: dict[str, str] = {}
    if not (config.get("populate_by_name") or config.get("validate_by_name")):
        for name, field in schema.model_fields.items():
            alias = field.validation_alias
            alias = getattr(alias, "choices", [alias])[0]
            if isinstance(alias, str) and alias != name:
                renamed[name] = alias
    if not renamed:
        return validate
    return lambda values: validate({renamed.get(key, key): value for key, value in values.items()})
