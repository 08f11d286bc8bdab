"""Types as checks of JSON values: what a TypedDict or a dataclass says of an item, without a library.

Looked at are: keys that must be there, keys that may be, no others; strings, numbers, booleans, None, by their type (True is
no number, `float` takes an integer); lists, tuples, objects, each to its depth; Literal, Union, enums by their values. Not
looked at: what `Annotated` adds, default values. A type that JSON has no word for is refused when the check is made, so what is
not checked is never taken for checked. Fields that are pydantic models are checked by pydantic (`models.py`).

Here: `shape_of`. Pure. Not here: which contract an item has, errors (`book.py`).
"""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from enum import Enum
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NamedTuple,
    NotRequired,
    Required,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
)

import typing_extensions
from typing_extensions import ReadOnly, TypeAliasType, is_typeddict

from perdure.errors import QueryError
from perdure.storage.contracts.models import is_model, model_problem, named

__all__ = ["Check", "Problem", "Shape", "shape_of"]


class Problem(NamedTuple):
    """A part of a value that is not what it should be."""

    path: str  # from where it was looked at: "", ".age", ".tags[3].name"
    found: str
    expected: str

    def inside(self, step: str | int) -> Problem:
        """The same, looked at from one level further out."""
        return self._replace(path=(f"[{step}]" if isinstance(step, int) else f".{step}") + self.path)


Check: TypeAlias = "Callable[[object], Problem | None]"


class Shape(NamedTuple):
    """What a type wants, in words, and whether a value is that."""

    expected: str
    check: Check


class _Later(NamedTuple):
    """The shapes of classes that are being looked at or were: a class may contain itself."""

    shapes: dict[object, Shape | None]

    def of(self, kind: object) -> Check:
        def check(value: object) -> Problem | None:
            shape = self.shapes[kind]
            assert shape is not None  # noqa: S101 - by now all are made
            return shape.check(value)

        return check


def _fits(value: object) -> None:
    """Whatever it is."""
    del value


_ANYTHING: Final = Shape("anything", _fits)
_LISTS: Final = (list, Sequence, MutableSequence)
_OBJECTS: Final = (dict, Mapping, MutableMapping)
_STRIPPED: Final = (
    Annotated,
    Required,
    NotRequired,
    ReadOnly,
    typing.Required,
    typing.NotRequired,
    typing.Final,
)


def shape_of(schema: type[Any]) -> Shape:
    """What a TypedDict or a dataclass wants.

    Raises:
        QueryError: it is neither, or has a part that cannot be checked; the message names it.
    """
    later = _Later({})
    if not (is_typeddict(schema) or _is_dataclass(schema)):
        raise _unknown(schema, schema.__name__, "is no pydantic model, TypedDict or dataclass")
    return _of_class(schema, schema.__name__, later)


def _unknown(hint: object, where: str, why: str) -> QueryError:
    return QueryError(
        f"contract: {where} {why} ({hint!r}). A contract can say str, int, float, bool, None, list, dict, tuple, Literal,"
        " Union, enums, TypedDicts, dataclasses and pydantic models of these.",
        part="schema",
    )


def _shape(hint: Any, where: str, later: _Later) -> Shape:
    """The shape of any annotation."""
    origin = get_origin(hint)
    if origin in _STRIPPED:
        return _shape(get_args(hint)[0], where, later)
    if hint is Any or hint is object:
        return _ANYTHING
    if hint is None or hint is type(None):
        return _NONE
    if hint in _SCALARS:
        return _SCALARS[hint]
    if origin is Literal:
        return _of_values(get_args(hint), where)
    if origin is Union or origin is types.UnionType:
        return _of_union([_shape(one, where, later) for one in get_args(hint)])
    kind: Any = origin or hint
    if kind is tuple:
        return _of_tuple(get_args(hint), where, later)
    if kind in _LISTS:
        return _of_list(_shape((get_args(hint) or (Any,))[0], f"{where}[...]", later))
    if kind in _OBJECTS:
        keys, values = get_args(hint) or (str, Any)
        return _of_object(
            _shape(keys, f"a key of {where}", later), _shape(values, f"{where}[...]", later), where
        )
    if supertype := getattr(hint, "__supertype__", None):  # NewType
        return _shape(supertype, where, later)
    if origin is None and isinstance(hint, TypeAliasType):  # `type X = ...`
        return _recursive(hint, where, later, lambda: _shape(_aliased(hint, where), where, later))
    if origin is None and isinstance(hint, type):
        return _of_class(hint, where, later)
    raise _unknown(hint, where, "has a type that no check is known for")


def _recursive(kind: object, where: str, later: _Later, make: Callable[[], Shape]) -> Shape:
    """Made once; inside itself it is looked up when it is needed."""
    if kind in later.shapes:
        known = later.shapes[kind]
        return Shape(getattr(kind, "__name__", where), later.of(kind)) if known is None else known
    later.shapes[kind] = None
    shape = later.shapes[kind] = make()
    return shape


def _of_class(kind: type[Any], where: str, later: _Later) -> Shape:
    if is_model(kind):
        return _of_model(kind)
    if issubclass(kind, Enum) and not is_typeddict(kind):
        return _of_values([member.value for member in kind], where)
    if is_typeddict(kind):
        return _recursive(kind, where, later, lambda: _of_typeddict(kind, where, later))
    if _is_dataclass(kind):
        return _recursive(kind, where, later, lambda: _of_dataclass(kind, where, later))
    raise _unknown(kind, where, "is of a type that JSON has no word for")


def _of_model(kind: type[Any]) -> Shape:
    def check(value: object) -> Problem | None:
        found = model_problem(kind, value)
        return None if found is None else Problem(*found)

    return Shape(f"a {kind.__name__}", check)


# ---- scalars


def _is(value: object, expected: str) -> Problem:
    return Problem("", named(value), expected)


def _is_none(value: object) -> Problem | None:
    return None if value is None else _is(value, "None")


_NONE: Final = Shape("None", _is_none)


def _scalar(expected: str, kinds: tuple[type, ...]) -> Shape:
    def check(value: object) -> Problem | None:
        if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
            return None
        return _is(value, expected)

    return Shape(expected, check)


_SCALARS: Final[dict[object, Shape]] = {
    str: _scalar("a str", (str,)),
    int: _scalar("an int", (int,)),
    float: _scalar("a number", (int, float)),
    bool: _scalar("a bool", (bool,)),
}


def _of_values(options: Iterable[object], where: str) -> Shape:
    allowed = list(options)
    for option in allowed:
        if not (option is None or isinstance(option, str | int | float)):
            raise _unknown(option, where, "allows a value that JSON has no word for")
    expected = f"one of {', '.join(map(repr, allowed))}"

    def check(value: object) -> Problem | None:
        for option in allowed:
            if isinstance(value, bool) is isinstance(option, bool) and value == option:
                return None
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return Problem("", f"{value!r:.40}", expected)
        return _is(value, expected)

    return Shape(expected, check)


def _of_union(shapes: list[Shape]) -> Shape:
    expected = " or ".join(dict.fromkeys(shape.expected for shape in shapes))

    def check(value: object) -> Problem | None:
        problems: list[Problem] = []
        for shape in shapes:
            problem = shape.check(value)
            if problem is None:
                return None
            problems.append(problem)
        deep = [problem for problem in problems if problem.path]
        return deep[0] if len(deep) == 1 else _is(value, expected)

    return Shape(expected, check)


# ---- containers


def _of_list(element: Shape) -> Shape:
    def check(value: object) -> Problem | None:
        if not isinstance(value, list | tuple):
            return _is(value, "a list")
        for place, one in enumerate(cast("Sequence[object]", value)):
            problem = element.check(one)
            if problem is not None:
                return problem.inside(place)
        return None

    return Shape("a list", check)


def _of_tuple(hints: Sequence[Any], where: str, later: _Later) -> Shape:
    if not hints or (len(hints) == 2 and hints[1] is Ellipsis):
        return _of_list(_shape(hints[0], f"{where}[...]", later) if hints else _ANYTHING)
    if hints == ((),):
        hints = ()
    shapes = [_shape(hint, f"{where}[{place}]", later) for place, hint in enumerate(hints)]
    expected = f"a list of {len(shapes)}"

    def check(value: object) -> Problem | None:
        if not isinstance(value, list | tuple):
            return _is(value, expected)
        elements = cast("Sequence[object]", value)
        if len(elements) != len(shapes):
            return Problem("", f"a list of {len(elements)}", expected)
        for place, (shape, one) in enumerate(zip(shapes, elements, strict=True)):
            problem = shape.check(one)
            if problem is not None:
                return problem.inside(place)
        return None

    return Shape(expected, check)


def _of_object(key: Shape, element: Shape, where: str) -> Shape:
    if key.check("") is not None and not key.expected.startswith("one of '"):
        raise _unknown(key.expected, f"a key of {where}", "is no str")

    def check(value: object) -> Problem | None:
        if not isinstance(value, Mapping):
            return _is(value, "an object")
        for name, one in cast("Mapping[str, object]", value).items():
            problem = key.check(name)
            if problem is not None:
                return Problem(
                    "", f"an object with the key {name!r:.40}", f"keys that are {problem.expected}"
                )
            problem = element.check(one)
            if problem is not None:
                return problem.inside(name)
        return None

    return Shape("an object", check)


def _of_fields(name: str, fields: Mapping[str, tuple[Shape, bool]], others: Shape | None) -> Shape:
    """An object with these keys, each with its shape and whether it has to be there; `others`: of what else there may be."""
    expected = f"a {name}"
    required = [key for key, (_, needed) in fields.items() if needed]

    def check(value: object) -> Problem | None:
        if not isinstance(value, Mapping):
            return _is(value, f"an object, {name}")
        entries = cast("Mapping[str, object]", value)
        for key in required:
            if key not in entries:
                return Problem(f".{key}", "missing", fields[key][0].expected)
        for key, one in entries.items():
            shape = fields[key][0] if key in fields else others
            if shape is None:
                return Problem(
                    f".{key}", named(one), f"no such key ({name} has {', '.join(fields) or 'none'})"
                )
            problem = shape.check(one)
            if problem is not None:
                return problem.inside(key)
        return None

    return Shape(expected, check)


def _of_typeddict(kind: Any, where: str, later: _Later) -> Shape:
    hints = _hints(kind, where)
    optional: frozenset[str] = kind.__optional_keys__
    fields: dict[str, tuple[Shape, bool]] = {}
    for name, hint in hints.items():
        said = _said(hint)
        needed = name not in optional if said is None else said
        fields[name] = _shape(hint, f"{where}.{name}", later), needed
    extra: Any = getattr(kind, "__extra_items__", None)
    others = None
    if (
        extra is not None
        and extra is not getattr(typing_extensions, "NoExtraItems", None)
        and extra is not typing.Never
    ):
        others = _shape(extra, f"{where}.*", later)
    return _of_fields(kind.__name__, fields, others)


def _said(hint: Any) -> bool | None:
    """Whether `Required` or `NotRequired` stands there; where annotations are strings, the class itself has not seen it."""
    while (origin := get_origin(hint)) in _STRIPPED:
        if origin in (Required, typing.Required):
            return True
        if origin in (NotRequired, typing.NotRequired):
            return False
        hint = get_args(hint)[0]
    return None


def _of_dataclass(kind: Any, where: str, later: _Later) -> Shape:
    hints = _hints(kind, where)
    fields = {
        field.name: (
            _shape(hints[field.name], f"{where}.{field.name}", later),
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
    }
    return _of_fields(kind.__name__, fields, None)


def _is_dataclass(kind: type[Any]) -> bool:
    return dataclasses.is_dataclass(kind)


def _aliased(alias: Any, where: str) -> Any:
    """What the alias stands for, names in strings looked up."""
    holder = types.SimpleNamespace(__annotations__={"value": alias.__value__}, __module__=alias.__module__)
    return _hints(holder, where, vars(sys.modules[alias.__module__]))["value"]


def _hints(kind: Any, where: str, names: dict[str, Any] | None = None) -> dict[str, Any]:
    try:
        return typing_extensions.get_type_hints(kind, globalns=names, include_extras=True)
    except Exception as error:
        raise QueryError(
            f"contract: the annotations of {where} ({kind!r}) cannot be read: {error!r}. Where they are strings, what they"
            " name must stand at the top of its module.",
            part="schema",
        ) from error
