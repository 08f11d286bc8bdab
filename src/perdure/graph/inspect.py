"""What a callable, `Runnable` or compiled graph is to the engine: a `Call`, and what its annotations tell.

Here: names, sync or async, what is injected into which parameter, the first parameter's schema, return hints.
Not here: running it (`engine`), what its result means (`result.py`), types for checkers (`nodes.py`).
Imports `hints`, `schema`, `spec`; imported by `builder`.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast, get_args, get_origin

from perdure.graph.hints import function_hints, literal_names, plain_type
from perdure.graph.schema import class_of
from perdure.graph.spec import Call
from perdure.types import Command, as_name

__all__ = ["UserCode", "is_compiled_graph", "is_runnable", "name_of", "user_code"]


@dataclass(frozen=True, slots=True)
class UserCode:
    """A function as somebody drew it into a graph.

    Attributes:
        thing: the object itself.
        call: how the engine calls it.
        schema: the annotated class of its first parameter, if that has one.
        jumps: the targets named by `Command[Literal[...]]` in its return annotation.
        answers: the names in any `Literal[...]` of its return annotation: where a path function may lead.
    """

    thing: object
    call: Call
    schema: type[Any] | None = None
    jumps: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def user_code(thing: object, *, role: str) -> UserCode:
    """What the engine and `compile` need to know about user code.

    Args:
        thing: a function, sync or async, a partial, a method, an object with `__call__`, a `Runnable`, a compiled graph.
        role: what it is in the graph, for messages: `"node 'a'"`.

    Raises:
        TypeError: it cannot be called with the state, or a parameter cannot be filled; the message names the parameter.
    """
    if is_runnable(thing):
        return UserCode(thing, _runnable(thing))
    if not callable(thing):
        raise TypeError(
            f"{role} is {thing!r} of type {type(thing).__name__}. Expected a Runnable or a callable: a function, a "
            "method, an object with __call__, or a compiled graph."
        )
    name = getattr(thing, "__qualname__", None) or type(thing).__qualname__
    signature = _signature(thing)
    hints = function_hints(_function(thing))
    first, wants = _parameters(thing, signature, hints, role) if signature else (None, {})
    is_async = _is_async(thing)
    called: Any = thing
    return UserCode(
        thing,
        Call(name, None if is_async else called, called if is_async else None, wants),
        class_of(plain_type(hints.get(first))) if first else None,
        _jumps(hints.get("return")),
        tuple(as_name(answer) for answer in literal_names(hints.get("return")) if _is_name(answer)),
    )


def name_of(thing: object) -> str:
    """Its `__name__`, else what a `Runnable` calls itself, else the name of its class."""
    name: object = getattr(thing, "__name__", None)
    if not name and is_runnable(thing):
        get_name: object = getattr(thing, "get_name", None)
        name = get_name() if callable(get_name) else getattr(thing, "name", None)
    return name if isinstance(name, str) and name else type(thing).__name__


# ---- Runnables


def is_runnable(thing: object) -> bool:
    """True for objects with `invoke` and `ainvoke`: LangChain's Runnables and compiled graphs, known by their shape."""
    kind = type(thing)
    return (
        not isinstance(thing, type)
        and callable(getattr(kind, "invoke", None))
        and callable(getattr(kind, "ainvoke", None))
    )


def is_compiled_graph(thing: object) -> bool:
    """True for what `compile` makes. Asked of the class, so that no object is made to do anything."""
    return hasattr(type(thing), "__perdure_graph__")


def _runnable(thing: Any) -> Call:
    invoke: Callable[[Any, Any], Any] = thing.invoke
    ainvoke: Callable[[Any, Any], Any] = thing.ainvoke

    def sync(state: object, *, config: object) -> object:
        return invoke(state, config)

    async def asynchronous(state: object, *, config: object) -> object:
        return await ainvoke(state, config)

    return Call(name_of(thing), sync, asynchronous, {"config": "config"})


# ---- functions


def _function(thing: Callable[..., Any]) -> Callable[..., Any]:
    """The function whose annotations count."""
    while isinstance(thing, functools.partial):
        thing = cast("functools.partial[Any]", thing).func
    if inspect.isfunction(thing) or inspect.ismethod(thing) or inspect.isbuiltin(thing):
        return thing
    return thing.__init__ if isinstance(thing, type) else type(thing).__call__


def _signature(thing: Callable[..., Any]) -> inspect.Signature | None:
    try:
        own = inspect.signature(thing, follow_wrapped=False)
        # A decorator that passes keywords on shows us what the function within takes; any other takes what it says.
        if any(p.kind is p.VAR_KEYWORD for p in own.parameters.values()):
            return inspect.signature(thing)
    except (TypeError, ValueError):  # a built-in that does not say
        return None
    return own


def _is_async(thing: Callable[..., Any]) -> bool:
    while isinstance(thing, functools.partial):
        thing = cast("functools.partial[Any]", thing).func
    return inspect.iscoroutinefunction(thing) or (
        not inspect.isroutine(thing)
        and not isinstance(thing, type)
        and inspect.iscoroutinefunction(type(thing).__call__)
    )


def _parameters(
    thing: object, signature: inspect.Signature, hints: Mapping[str, Any], role: str
) -> tuple[str, dict[str, str]]:
    """The name of the state's parameter, and which others get what."""
    bound = cast("functools.partial[Any]", thing).keywords if isinstance(thing, functools.partial) else {}
    rest = [p for name, p in signature.parameters.items() if name not in bound]
    if not rest or rest[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise TypeError(f"{role} is called with the state, but takes no positional argument: {signature}.")
    first, *others = rest
    if first.name in _NOT_STATES and not _is_state(hints.get(first.name)):
        raise TypeError(
            f"The first parameter of {role} is named {first.name!r}. The state is passed there; "
            f"put it first, e.g. (state, {first.name}), or name the parameter otherwise."
        )
    wants: dict[str, str] = {}
    for parameter in others:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        fits = _FITS.get(parameter.name)
        if fits and parameter.kind is not parameter.POSITIONAL_ONLY and fits(hints.get(parameter.name)):
            wants[parameter.name] = parameter.name
        elif parameter.default is parameter.empty:
            raise TypeError(_unfilled(role, parameter, hints.get(parameter.name)))
    return first.name, wants


def _is_state(hint: object) -> bool:
    schema = class_of(plain_type(hint))
    return schema is not None and schema.__name__ not in ("Runtime", *_EXPECTED.values())


def _unfilled(role: str, parameter: inspect.Parameter, hint: object) -> str:
    name = parameter.name
    start = f"Parameter {name!r} of {role} has no default, and nothing can be injected into it: "
    if parameter.kind is parameter.POSITIONAL_ONLY and name in _FITS:
        return start + "it is positional-only. What is injected goes by name; move it behind the `/`."
    if name == "error":
        return start + "only error handlers get an `error`, annotated `NodeError`."
    if expected := _EXPECTED.get(name):
        return start + f"it is annotated {_shown(hint)}. Annotate it `{expected}`, or not at all."
    hint_name = _last_name(hint)
    if hint_name == "Runtime":
        return start + "what is injected goes by name. Name it `runtime`."
    return start + "a node is given the state and, by name, `config`, `store`, `writer` and `runtime`."


# ---- what may be injected, by the parameter's name

_EXPECTED = {"config": "RunnableConfig", "store": "BaseStore", "writer": "StreamWriter"}
_NOT_STATES = (*_EXPECTED, "runtime")
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def _wants_config(hint: object) -> bool:
    # LangChain's own class, known by its name, or a plain mapping for those who do not have it.
    return all(
        _is_anything(part) or _last_name(part) == "RunnableConfig" or (get_origin(part) or part) in _MAPPINGS
        for part in _members(hint)
    )


def _wants_store(hint: object) -> bool:
    return all(_is_anything(part) or _last_name(part) == "BaseStore" for part in _members(hint))


def _wants_writer(hint: object) -> bool:
    return all(
        _is_anything(part)
        or _last_name(part) in ("StreamWriter", "Callable")
        or (get_origin(part) or part) is collections.abc.Callable
        for part in _members(hint)
    )


def _always(_hint: object) -> bool:
    return True


def _never(_hint: object) -> bool:
    return False


_FITS: dict[str, Callable[[object], bool]] = {
    "config": _wants_config,
    "store": _wants_store,
    "writer": _wants_writer,
    "runtime": _always,
    "previous": _always,
    "error": _never,  # of nodes; the handlers of errors are looked at by themselves
}


def _is_anything(hint: object) -> bool:
    return hint is None or hint is Any or hint is object


def _members(hint: object) -> list[object]:
    """The members of a union but None; of a string the names between its bars, for names only type checkers know."""
    hint = plain_type(hint)
    if isinstance(hint, str):
        inner = hint.strip("'\" ")
        if inner.startswith(("Optional[", "typing.Optional[")):
            inner = inner.partition("[")[2].removesuffix("]")
        return [part.strip() for part in inner.split("|") if part.strip() != "None"]
    if _is_union(hint):
        return [plain_type(part) for part in get_args(hint) if part is not type(None)]
    return [hint]


def _is_union(hint: object) -> bool:
    return getattr(get_origin(hint), "__name__", "") in ("Union", "UnionType")


def _last_name(hint: object) -> str:
    if not isinstance(hint, str):
        hint = getattr(hint, "__forward_arg__", None) or getattr(get_origin(hint) or hint, "__name__", "")
    return str(hint).strip("'\" ").partition("[")[0].rpartition(".")[2]


def _shown(hint: object) -> str:
    return hint if isinstance(hint, str) else getattr(hint, "__name__", repr(hint))


# ---- what return annotations tell


def _is_name(answer: object) -> bool:
    try:
        as_name(answer)
    except TypeError:
        return False
    return True


def _jumps(hint: object) -> tuple[str, ...]:
    hint = plain_type(hint)
    if _is_union(hint):
        return tuple(dict.fromkeys(name for part in get_args(hint) for name in _jumps(part)))
    if get_origin(hint) is Command:
        return tuple(as_name(name) for name in literal_names(hint) if _is_name(name))
    return ()
