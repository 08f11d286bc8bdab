"""A base class that arrives later: objects are a `Runnable` exactly when somebody can ask, and nobody imports it.

Here: `late_base` for objects, `class_with` for classes that are looked at as classes. Once the other library's module is in
`sys.modules`, a real subclass `(Cls, Base)` of the same name is made. New objects are made of it; an older one changes when
its `__class__` is read, which `isinstance` does. Until then nothing is in the way: no `__new__`, no `__getattr__`.
Not here: which classes, and what they do. Imports nothing of Perdure; anybody may import it. Our own checks use `type(x)`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from types import new_class
from typing import Any, ClassVar, Final, TypeVar

__all__ = ["Late", "class_with", "fetch", "late_base", "plain_class"]

_C = TypeVar("_C", bound="type[Late]")
_CLASS: Final[Any] = object.__dict__["__class__"]  # reads and sets an object's class, past our property
_lock = threading.RLock()
_modules = sys.modules


@dataclass(frozen=True, slots=True)
class _Base:
    """The class that arrives later."""

    module: str
    name: str
    extra: str
    theirs: frozenset[str]

    def here(self) -> type | None:
        """The class, if its module is loaded (and far enough along to have it)."""
        module = _modules.get(self.module)
        return None if module is None else getattr(module, self.name, None)


class Late:
    """Parent of the classes that `late_base` decorates."""

    __slots__ = ()
    __late__: ClassVar[_Base]

    @property
    def __class__(self) -> type[Any]:
        """What `isinstance` reads: the object becomes what it can be by now."""
        kind = type(self)
        if kind.__late__.module not in _modules:  # the common case, before any call
            return kind
        made = _made(kind)
        # CPython's own isinstance() compares what we return with the object's class *now*, and believes only a difference;
        # that of an `ABCMeta` looks at both. So only there the object may change while it is looked at.
        if made is not kind and type(kind.__late__.here()) is not type:
            _CLASS.__set__(self, made)
        return made

    @__class__.setter
    def __class__(self, kind: type[Any]) -> None:
        _CLASS.__set__(self, kind)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copies and pickles name the plain class: the other one is made wherever it is wanted."""
        return _again, (plain_class(type(self)),), vars(self)


def late_base(module: str, name: str, *, extra: str, theirs: Iterable[str] = ()) -> Callable[[_C], _C]:
    """The decorated class (a `Late`) has `module.name` as a base from the moment that module is loaded.

    Args:
        module: its dotted name; never imported here, but for `theirs`.
        name: of the class in it.
        extra: of ours that installs it, for the message when it is missing.
        theirs: names for which the other class wins, `|` as `__or__` and `__ror__`; ours win for all others. Asking a plain
            object for one of them imports the module.
    """

    def decorated(cls: _C) -> _C:
        cls.__late__ = _Base(module, name, extra, frozenset(theirs))
        for each in cls.__late__.theirs:
            setattr(cls, each, _Theirs(each))
        _made(cls)
        return cls

    return decorated


class _Theirs:
    """An attribute that is the other class's: looked up there, once the object is one of its kind."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, thing: Late | None, owner: type[Late]) -> Any:  # noqa: ANN401 - whatever it is over there
        if thing is None:
            return self
        base = owner.__late__
        try:
            import_module(base.module)
        except ImportError as error:
            raise AttributeError(
                f"{plain_class(owner).__name__}.{self._name} comes from {base.module.partition('.')[0]}, which cannot be"
                f" imported ({error}). Install it: pip install 'perdure[{base.extra}]'."
            ) from error
        made = _made(type(thing))
        if isinstance(_found(made, self._name), _Theirs):
            text = f"{base.module}.{base.name}, as installed here, has no {self._name!r}"
            raise AttributeError(text)  # noqa: TRY004 - of an attribute
        _CLASS.__set__(thing, made)
        return getattr(thing, self._name)


def _made(kind: type[Any]) -> type[Any]:
    """The class that an object of `kind` should have now."""
    base = kind.__late__.here()
    if base is None or issubclass(kind, base):
        return kind
    made = kind.__dict__.get("__late_made__")
    if made is None:
        with _lock:
            made = kind.__dict__.get("__late_made__") or _make(kind, base)
    return made


def _make(kind: type[Any], base: type) -> type[Any]:
    names: dict[str, Any] = {
        "__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__, "__slots__": (),
        "__class__": _CLASS, "__late_plain__": kind,
    }  # fmt: skip
    for each in kind.__late__.theirs:
        if isinstance(_found(kind, each), _Theirs):  # a user's own subclass may define it
            theirs = _found(base, each)
            if theirs is not None:
                names[each] = theirs
    made = new_class(kind.__name__, (kind, base), exec_body=lambda space: space.update(names))
    if "__parameters__" in vars(kind):
        made.__parameters__ = kind.__parameters__
    root: Any = next(cls for cls in kind.__mro__ if "__late__" in vars(cls))
    if "__new__" not in vars(root):
        root.__new__ = _new
    kind.__late_made__ = made
    return made


def _found(cls: type, name: str) -> object:
    return next((vars(each)[name] for each in cls.__mro__ if name in vars(each)), None)


def _new(cls: type[Any], *_args: object, **_options: object) -> object:
    return object.__new__(_made(cls))


def _again(cls: type[Any]) -> object:
    made: Any = cls
    return made.__new__(cls)


def plain_class(cls: type[Any]) -> type[Any]:
    """The class as it is written in the source: what a registry of types knows."""
    return cls.__dict__.get("__late_plain__", cls)


# -- classes that are looked at as classes -------------------------------------------------------------------------


def fetch(module: str, name: str, *, extra: str, wanted_for: str) -> Any:  # noqa: ANN401 - of another library
    """`module.name`, imported now. Raises ImportError that says what to install."""
    try:
        return getattr(import_module(module), name)
    except ImportError as error:
        raise ImportError(
            f"{wanted_for} needs {module.partition('.')[0]}, which cannot be imported ({error}). Install it:"
            f" pip install 'perdure[{extra}]'.",
            name=module,
        ) from error


def class_with(plain: type[Any], module: str, base: str, *, extra: str, name: str) -> type[Any]:
    """A class `name` of `plain` and `module.base`, which is imported now: for a module's `__getattr__`.

    Raises:
        ImportError: the library is not installed; the message says what to install.
    """
    later = fetch(module, base, extra=extra, wanted_for=f"{plain.__module__}.{name}")
    names = {"__module__": plain.__module__, "__qualname__": name, "__doc__": plain.__doc__}
    return new_class(name, (plain, later), exec_body=lambda space: space.update(names))
