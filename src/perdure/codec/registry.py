"""The closed set of types that a decoder may build.

Here: built-ins, what a user registers, what schemas name; found by type when encoding and by name when decoding. A
name from data is looked up here and nowhere else; nothing is imported by it. Not here: the format (`pack.py`).
Imports `errors`, `kinds`, `late_kinds`, `derive`, `reach`; `envelope.py`, `pack.py` and users come in.
"""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from typing import Any, TypeVar

from perdure.codec.derive import shape_of
from perdure.codec.kinds import (
    BUILT_IN,
    BY_TAG,
    NATIVE,
    OBJECT,
    Decode,
    Encode,
    Kind,
    StoredError,
    want_items,
)
from perdure.codec.late_kinds import LATE_BY_TAG, late_kind
from perdure.codec.reach import reachable
from perdure.errors import EncodingError
from perdure.late import plain_class

__all__ = ["DEFAULT", "Registry", "register"]

_T = TypeVar("_T")

_NAMES = reprlib.Repr()
_NAMES.maxstring = 200


class Registry:
    """The types a codec may build: the built-ins, and those that were registered.

    Registering one type never changes what becomes of another. Safe from any thread.
    """

    __slots__ = ("__weakref__", "_by_name", "_by_type", "_parent")

    def __init__(self) -> None:
        """Holds the built-ins, and nothing of the process's default registry; see `child`."""
        self._by_type: dict[type, Kind] = {}
        self._by_name: dict[str, tuple[type, Decode]] = {}
        self._parent: Registry | None = None

    def child(self) -> Registry:
        """A registry that knows what this one knows, now and later; what it learns, this one does not."""
        derived = Registry()
        derived._parent = self
        return derived

    def register(
        self,
        cls: type[_T],
        *,
        name: str | None = None,
        encode: Encode | None = None,
        decode: Decode | None = None,
    ) -> None:
        """Values of exactly this class can be saved from now on.

        Dataclasses, pydantic models, enums and named tuples need no functions. A class registered again under another
        name is written under the new one and read under both, so data survives a move of the class.

        Args:
            cls: the class; its subclasses are not meant.
            name: what the data calls it, forever; `module:qualname` if not given.
            encode: value to a plain one (anything the codec can save).
            decode: that plain value, perhaps damaged, to the value; must not trust it.

        Raises:
            TypeError: there is no way to save this class without `encode` and `decode`, or only one was given.
            ValueError: `cls` is one that msgpack writes itself, or the name belongs to another class.
        """
        if cls in NATIVE:
            raise ValueError(f"{cls.__name__} is written as it is; only other types can be registered.")
        if (encode is None) != (decode is None):
            raise TypeError(f"Register {cls.__qualname__} with both encode and decode, or with neither.")
        label = name or f"{cls.__module__}:{cls.__qualname__}"
        self._check_free(label, cls)
        if encode is not None and decode is not None:
            self._enter(cls, label, *_by_hand(encode, decode))
            return
        shape = shape_of(cls)
        if shape is None:
            raise TypeError(
                f"{cls.__qualname__} is no dataclass, pydantic model, enum or named tuple: say how it is saved, "
                f"perdure.codec.register({cls.__qualname__}, encode=..., decode=...)."
            )
        self._enter(cls, label, shape.apart, shape.together)

    def add_types(self, types: Iterable[object]) -> None:
        """What these types and annotations lead to can be saved: dataclasses, pydantic models, enums, named tuples.

        Fields are followed. What cannot be resolved or saved is passed over; a value of it is refused later, with its
        path.
        """
        for cls in reachable(types):
            if cls not in NATIVE and self.kind_of(cls) is None:
                shape = shape_of(cls)
                label = f"{cls.__module__}:{cls.__qualname__}"
                if shape is not None:
                    self._enter(cls, label, shape.apart, shape.together)

    def kind_of(self, cls: type) -> Kind | None:
        """How values of exactly this class are written, or `None`: they are refused."""
        registry: Registry | None = self
        while registry is not None:
            kind = registry._by_type.get(cls)
            if kind is not None:
                return kind
            registry = registry._parent
        kind = BUILT_IN.get(cls)
        if kind is not None:
            return kind
        plain = plain_class(cls)
        if plain is not cls:  # a `Command` that LangChain has looked at
            return self.kind_of(plain)
        kind = late_kind(cls)
        if kind is None and issubclass(cls, BaseException):
            return BUILT_IN[StoredError]
        return kind

    def build(self, tag: int, plain: object) -> object:
        """The value of this tag and plain form, both from data.

        Raises:
            EncodingError: no such type here.
            Exception: whatever a damaged plain form leads to; the codec turns it into an EncodingError.
        """
        if tag == OBJECT:  # first, and with no call more than it needs: a long thread has thousands
            name, *parts = want_items(plain)
            registry: Registry | None = self
            while registry is not None:
                found = registry._by_name.get(name)
                if found is not None:
                    return found[1](parts)
                registry = registry._parent
            raise EncodingError(
                f"The data holds a {_short_name(plain)}, a type that is not registered; nothing was imported. If it is "
                "yours, name it in the state's annotations or call perdure.codec.register(cls)."
            )
        kind = BY_TAG.get(tag)
        if kind is not None:
            return kind.decode(plain)
        late = LATE_BY_TAG.get(tag)
        if late is None:
            raise EncodingError(
                f"The data holds a value of kind {tag}, which this version of Perdure does not know."
            )
        return late(plain)

    def label_of(self, tag: int, plain: Any) -> str:
        """What to call such a value in a message; of a name from the data no more than a line."""
        if tag == OBJECT:
            return f"a stored {_short_name(plain)}"
        names = {kind.tag: cls.__name__ for cls, kind in BUILT_IN.items()}
        return f"a stored {names.get(tag, f'value of kind {tag}')}"

    def _check_free(self, label: str, cls: type) -> None:
        registry: Registry | None = self
        while registry is not None:
            owner, _ = registry._by_name.get(label, (cls, None))
            # A class defined anew under its old name (a notebook's cell, run again) takes its place.
            same = owner is cls or (owner.__module__, owner.__qualname__) == (
                cls.__module__,
                cls.__qualname__,
            )
            if not same:
                raise ValueError(
                    f"The name {label!r} belongs to {owner.__module__}.{owner.__qualname__} already."
                )
            registry = registry._parent

    def _enter(self, cls: type, label: str, apart: Encode, together: Decode) -> None:
        def encode(value: object) -> object:
            return [label, *apart(value)]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType] - shapes give lists

        self._by_name[label] = (cls, together)
        self._by_type[cls] = Kind(OBJECT, encode, together, layered=True)

    def __repr__(self) -> str:
        depth, registry = 0, self._parent
        while registry is not None:
            depth, registry = depth + 1, registry._parent
        return f"<Registry {len(self._by_type)} types, {depth} parents>"


def _short_name(plain: Any) -> str:
    try:
        return _NAMES.repr(plain[0])
    except Exception:  # noqa: BLE001 - damaged: any type, any length
        return "nameless type"


def _by_hand(encode: Encode, decode: Decode) -> tuple[Encode, Decode]:
    def together(parts: list[Any]) -> object:
        (plain,) = parts
        return decode(plain)

    return (lambda value: [encode(value)]), together


DEFAULT = Registry()
"""The process's registry; what is registered here is known to every codec that was not given a registry of its own."""


def register(
    cls: type[_T], *, name: str | None = None, encode: Encode | None = None, decode: Decode | None = None
) -> None:
    """`DEFAULT.register`: values of exactly this class can be saved from now on, by everybody in this process."""
    DEFAULT.register(cls, name=name, encode=encode, decode=decode)
