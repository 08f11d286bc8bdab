"""What the annotations of a class or function say, also when they are strings.

Here: reading annotations, wherever their names come from: the module, an enclosing function, the place that draws the
graph. Not here: what they mean (`schema.py`, `inspect.py`). Imports nothing of Perdure.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Mapping
from typing import (
    Annotated,
    Any,
    ClassVar,
    Literal,
    NotRequired,
    Required,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import typing_extensions
from typing_extensions import ReadOnly

__all__ = [
    "class_hints",
    "declared",
    "function_hints",
    "has_annotations",
    "is_pydantic",
    "literal_names",
    "metadata_of",
    "plain_type",
    "unaliased",
]

_WRAPPERS: tuple[object, ...] = (Required, NotRequired, ReadOnly)


def class_hints(schema: type[Any]) -> dict[str, Any]:
    """Key -> annotation, inherited ones first, with `Annotated` and its metadata.

    Raises:
        NameError: an annotation is a string with a name that is nowhere to be found.
    """
    try:
        return get_type_hints(schema, include_extras=True)
    except NameError:
        pass  # a class within a function, its annotations strings: the names are where the graph is being drawn
    try:
        return get_type_hints(schema, localns=_names_around(schema.__module__), include_extras=True)
    except NameError as error:
        raise NameError(
            f"The annotations of {schema.__qualname__} name {error.name!r}, which cannot be found in the module "
            f"{schema.__module__!r} nor where the graph is drawn. Import it outside of `if TYPE_CHECKING:`, or define "
            "the class at module level.",
            name=error.name,
        ) from error


def function_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Parameter (and `return`) -> annotation; one that cannot be worked out stays the string it is."""
    while hasattr(
        function, "__wrapped__"
    ):  # a decorator copied these annotations; their names are at home elsewhere
        function = cast("Any", function).__wrapped__
    function = getattr(function, "__func__", function)
    try:
        raw: dict[str, Any] = dict(getattr(function, "__annotations__", {}))
    except NameError:  # Python 3.14 works annotations out when asked; a name that only type checkers know
        return {}
    module: dict[str, Any] = getattr(function, "__globals__", {})
    return {name: _resolved(name, raw[name], function, module) for name in raw}


def _resolved(name: str, annotation: Any, function: Callable[..., Any], module: dict[str, Any]) -> object:
    holder: Any = types.SimpleNamespace(__annotations__={name: annotation})
    for local_names in (lambda: _closure(function), lambda: _names_around(str(module.get("__name__")))):
        try:
            return get_type_hints(holder, globalns=module, localns=local_names(), include_extras=True)[name]
        except Exception:  # noqa: BLE001, S112 - annotations are anybody's text; this one says nothing to us
            continue
    return annotation


def _closure(function: Callable[..., Any]) -> dict[str, Any]:
    code: types.CodeType | None = getattr(function, "__code__", None)
    cells: tuple[types.CellType, ...] = getattr(function, "__closure__", None) or ()
    found: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars if code else (), cells, strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    return found


def _names_around(module: str) -> dict[str, Any]:
    """The local names of all functions of that module that are running now, the innermost first."""
    found: dict[str, Any] = {}
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_globals.get("__name__") == module and frame.f_locals is not frame.f_globals:
            found = {**frame.f_locals, **found}
        frame = frame.f_back
    return found


# ---- classes


def is_pydantic(thing: object) -> bool:
    """True for pydantic models (of version 2, and 1). Pydantic is not imported for it."""
    if "pydantic" not in sys.modules or not isinstance(thing, type):
        return False
    return any(
        base.__name__ == "BaseModel" and base.__module__.startswith("pydantic") for base in thing.__mro__
    )


def has_annotations(thing: object) -> bool:
    """True for classes whose body, or that of a base, annotates something: TypedDict, dataclass, pydantic ..."""
    if not isinstance(thing, type):
        return False
    if typing_extensions.is_typeddict(thing) or is_pydantic(thing):
        return True
    return any(declared(base) for base in thing.__mro__)


def declared(base: type[Any]) -> Mapping[str, Any]:
    """The annotations in the body of this class alone, not worked out; without class variables."""
    if base.__module__ in ("builtins", "typing", "abc"):
        return {}
    try:
        found = inspect.get_annotations(base)
    except NameError:  # Python 3.14, as above
        return {"?": Any}
    return {name: hint for name, hint in found.items() if not _is_class_variable(hint)}


def _is_class_variable(hint: object) -> bool:
    if isinstance(hint, str):
        return hint.startswith(("ClassVar", "typing.ClassVar", "t.ClassVar"))
    return hint is ClassVar or get_origin(hint) is ClassVar


# ---- type forms


def unaliased(hint: Any) -> Any:
    """What `type Name = ...` stands for."""
    while (
        type(hint).__name__ == "TypeAliasType"
    ):  # by name: Python's own and the one of typing_extensions differ
        hint = hint.__value__
    return hint


def plain_type(hint: Any) -> Any:
    """The type without `Required`, `NotRequired`, `ReadOnly`, `Annotated` and aliases around it."""
    while get_origin(hint := unaliased(hint)) in (*_WRAPPERS, Annotated):
        hint = get_args(hint)[0]
    return hint


def metadata_of(hint: Any) -> tuple[Any, ...]:
    """What `Annotated` adds to the type, whatever `Required` and the like stand around or within."""
    found: tuple[Any, ...] = ()
    while (origin := get_origin(hint := unaliased(hint))) in (*_WRAPPERS, Annotated):
        if origin is Annotated:
            found = (*hint.__metadata__, *found)
        hint = get_args(hint)[0]
    return found


def literal_names(hint: object) -> tuple[object, ...]:
    """All values of the `Literal`s in a type form, in order: in unions and lists, too."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    found: dict[object, None] = {}
    for part in get_args(hint):
        found.update(dict.fromkeys(literal_names(part)))
    return tuple(found)
