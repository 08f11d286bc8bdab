"""What a reducer starts from: the empty value of a type, where it has one. Imports nothing of Perdure but `base`."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable
from typing import Annotated, Any, NotRequired, Required, TypeAlias, cast, get_args, get_origin

from typing_extensions import ReadOnly

from perdure.channels.base import MISSING

__all__ = ["Start", "start_of"]

Start: TypeAlias = "Callable[[], Any] | None"
"""Makes a new empty value at each call; None where the type has none."""

_CONCRETE: dict[Any, type[Any]] = {
    abc.Sequence: list,
    abc.MutableSequence: list,
    abc.Collection: list,
    abc.Iterable: list,
    abc.Set: set,
    abc.MutableSet: set,
    abc.Mapping: dict,
    abc.MutableMapping: dict,
}


def start_of(typ: Any) -> Start:  # noqa: ANN401 - any type form
    """What makes the empty value of this type: `list` for `list[int]` and `Sequence[int]`, `int` for `int` ...

    None where the type cannot be called without arguments: then the first write is taken as it is.
    """
    while get_origin(typ) in (Annotated, Required, NotRequired, ReadOnly):
        typ = get_args(typ)[0]
    typ = get_origin(typ) or typ
    make = _CONCRETE.get(typ, typ) if isinstance(typ, abc.Hashable) else typ
    if not callable(make):
        return None
    try:
        made = cast("Callable[[], object]", make)()
    except Exception:  # noqa: BLE001 - a user's class may refuse in any way; it then has no empty value
        return None
    return None if made is MISSING else make
