"""Copies of the containers below the items of a long list, in columns: taken and compared in C, not item by item.

A thread's messages are thousands of small objects or dicts. Their copies one by one (`stand_ins.py`) take a walk in Python
at every look; here all dicts and lists below the items, and the `__dict__`s of objects, stand in *one* flat list beside a
flat list of their shallow copies. A shallow copy refers to the same inner containers, which have lines of their own, so one
`==` of both lists, in C, proves that nothing changed at any depth; of those that were empty it is asked whether any has got
something. What it cannot prove is looked at by the slow way.

A model of pydantic keeps extra and private attributes beside its `__dict__`. They are compared, too; that somebody puts
another `__pydantic_extra__` in the place of the old one by hand is seen only if its `__dict__` is replaced as well, as
pydantic itself does.

Here: sheets. Not here: what a difference means (`deltas.py`). Imports `stand_ins` only.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain, compress
from operator import attrgetter, is_, methodcaller
from typing import Any, Final, Literal, cast

from perdure.storage.stand_ins import Fields, has_fields, is_leaf_kind, slots_of

SHEET_FROM: Final = 32  # a shorter list is as quick one by one
_LEVELS: Final = 32  # deeper, or in itself: the slow way finds out
_MOST: Final = 1 << 20  # containers; an object that stands in many places is counted in each

_EXTRA: Final = "__pydantic_extra__"
_PRIVATE: Final = "__pydantic_private__"
_BESIDE: Final = frozenset({_EXTRA, _PRIVATE})
_fields_of = attrgetter("__dict__")
_extra_of = attrgetter(_EXTRA)
_private_of = attrgetter(_PRIVATE)
_values_of = methodcaller("values")

_DICT: Final[type[Any]] = dict
_CONTAINERS: Final[frozenset[type[Any]]] = frozenset({dict, list})

_Role = Literal["leaf", "list", "dict", "object", "other"]


class Sheet:
    """What stood below the items of a list when they were entered. The items themselves are compared by who owns it."""

    __slots__ = ("_copies", "_empty", "_extras", "_fields", "_live", "_models", "_objects", "_privates")

    def __init__(self) -> None:
        self._objects: list[Any] = []
        self._fields: list[dict[str, Any]] = []  # their `__dict__`s
        self._models: list[Any] = []  # those of pydantic among them
        self._extras: list[dict[str, Any] | None] = []
        self._privates: list[dict[str, Any] | None] = []
        self._live: list[Any] = []  # every container that holds anything, at any depth
        self._copies: list[Any] = []  # shallow
        self._empty: list[Any] = []  # the others, which most inner ones are

    def enter(self, items: Sequence[Any]) -> bool:
        """Takes further items in, as they are now. False: something in them is not for a sheet; nothing was entered."""
        kinds = _kinds(items)
        roles: dict[type[Any], _Role] = {kind: _role(kind) for kind in kinds}
        if "other" in roles.values():
            return False
        objects = _of_role(items, roles, "object")
        models = objects
        if any(not slots_of(kind) for kind in kinds if roles[kind] == "object"):
            models = [each for each in objects if slots_of(cast("type[Any]", type(each)))]
        fields = list(map(_fields_of, objects))
        try:
            extras, privates = list(map(_extra_of, models)), list(map(_private_of, models))
        except AttributeError:  # made by hand, not by pydantic
            return False
        beside = [each for each in chain(extras, privates) if each is not None] if models else []
        if not set(map(type, chain(fields, beside))) <= {dict}:
            return False
        top = [*fields, *beside, *_containers(items, kinds)]
        below = _levels(top)
        if below is None:
            return False
        self._objects += objects
        self._fields += fields
        self._models += models
        self._extras += extras
        self._privates += privates
        for level in below:
            full = _full(level)
            if len(full) < len(level):
                self._empty += [each for each in level if not each]
            self._live += full
            self._copies += [each.copy() for each in full]
        return True

    def stands(self) -> bool:
        """Whether everything below the items is as it was entered. False: it may have changed."""
        try:
            same = all(map(is_, map(_fields_of, self._objects), self._fields))
            same = same and not any(self._empty) and self._live == self._copies
        except Exception:  # noqa: BLE001 - what was put there may raise anything when compared, as numpy's arrays do
            return False
        return same

    def apart(self, items: Iterable[Any]) -> list[Any]:
        """Entered items as they were, one by one, as `stand_ins.detached` would have given them then. Slow."""
        known: dict[int, Any] = dict(zip(map(id, self._live), self._copies, strict=True))
        known.update((id(each), type(each)()) for each in self._empty)
        fields = dict(zip(map(id, self._objects), self._fields, strict=True))
        beside = {
            id(model): {_EXTRA: extra, _PRIVATE: private}
            for model, extra, private in zip(self._models, self._extras, self._privates, strict=True)
        }

        def was(value: Any) -> Any:
            copy: Any = known.get(id(value))
            if copy is None:
                return value
            if type(copy) is dict:
                return {key: was(each) for key, each in cast("dict[Any, Any]", copy).items()}
            return [was(each) for each in copy]

        def item_was(item: Any) -> Any:
            own = fields.get(id(item))
            if own is None:
                return was(item)
            more = {name: was(each) for name, each in beside.get(id(item), {}).items() if each is not None}
            return Fields(type(item), {**was(own), **more})

        return [item_was(item) for item in items]


def sheet_of(items: Sequence[Any]) -> Sheet | None:
    """A sheet of these items; None where they are not for one."""
    sheet = Sheet()
    return sheet if len(items) >= SHEET_FROM and sheet.enter(items) else None


def _kinds(values: Sequence[Any]) -> set[type[Any]]:
    return set(map(type, values))


def _levels(top: list[Any]) -> list[list[Any]] | None:
    """All dicts and lists in these containers, by depth; None where something else is in them that may change."""
    levels: list[list[Any]] = []
    level, count = top, 0
    while level:
        levels.append(level)
        count += len(level)
        if len(levels) > _LEVELS or count > _MOST:
            return None
        inside = _inside(level)
        kinds = _kinds(inside)
        if any(_role(kind) in ("object", "other") for kind in kinds):
            return None
        level = _containers(inside, kinds)
    return levels


def _full(level: list[Any]) -> list[Any]:
    return [*filter(None, level)]


def _inside(level: list[Any]) -> list[Any]:
    full = _full(level)
    if _kinds(full) == {_DICT}:
        return list(chain.from_iterable(map(_values_of, full)))
    return list(chain.from_iterable(each.values() if type(each) is _DICT else each for each in full))


def _containers(values: Sequence[Any], kinds: set[type[Any]]) -> list[Any]:
    if kinds.isdisjoint(_CONTAINERS):
        return []
    return list(compress(values, map(_CONTAINERS.__contains__, map(type, values))))


def _of_role(items: Sequence[Any], roles: dict[type[Any], _Role], role: _Role) -> list[Any]:
    kinds = {kind for kind, each in roles.items() if each == role}
    if len(kinds) == len(roles):
        return list(items)
    return list(compress(items, map(kinds.__contains__, map(type, items)))) if kinds else []


@lru_cache(maxsize=1024)
def _role(kind: type[Any]) -> _Role:
    if kind is list:
        return "list"
    if kind is dict:
        return "dict"
    if is_leaf_kind(kind):
        return "leaf"
    plain = kind.__getattribute__ is object.__getattribute__ and kind.__module__ != "numpy"
    if plain and kind.__dictoffset__ and has_fields(kind) and set(slots_of(kind)) in (set[str](), _BESIDE):
        return "object"
    return "other"
