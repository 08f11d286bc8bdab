"""What changed in a value since it was committed: nothing, items behind its end, an operation, or everything.

A channel's value is written as segments of a log: a base, then appended items or patches. `change_of` compares a new
value with the *shadow* of what was committed: a copy of the containers that shares their leaves. The identity of a
mutable container proves nothing (users mutate in place and return the same object), so containers are compared by
`==` against the shadow, in C; `==` only ever proves a change. Where it says equal and the value is a new object,
scalars are compared by type as well (`1 == True == 1.0`). Of a long list nothing is looked at item by item in Python, as
long as what it has kept are the very objects that were committed (`sheets.py`).

Here: shadows, changes. Not here: copies (`stand_ins.py`), operations (`patches.py`), encoding (`codec`), refs and rows
(`chains.py`).
"""

from __future__ import annotations

from itertools import compress, count, islice
from operator import is_, is_not
from typing import Any, Final, NamedTuple, cast

from perdure.storage.patches import apply_patch, equal, exact, list_operation, operation_of
from perdure.storage.sheets import SHEET_FROM, Sheet, sheet_of
from perdure.storage.stand_ins import OPAQUE, detached

BASE: Final = 0  # payload: the value
APPEND: Final = 1  # payload: list of items; a log that begins with it starts from []
PATCH: Final = 2  # payload: an operation, see `patches.apply_patch`
FROM: Final = 3  # payload: (log, length): goes on from there


class Change(NamedTuple):
    """What to write: `kind` BASE, APPEND or PATCH; `width`: positions of the log that it takes."""

    kind: int
    piece: Any
    width: int


class Shadow:
    """What was committed. `live` is the object (for a list: its items) that was compared."""

    __slots__ = ("_copy", "live", "sheet")

    def __init__(self, value: Any) -> None:
        self._copy: Any = None  # of the containers, where there is no sheet
        self.live: Any
        self.sheet: Sheet | None
        self.take(value)

    def take(self, value: Any) -> None:
        """From now on the shadow of `value` as it is."""
        if type(value) is list:
            self.live = list(cast("list[Any]", value))
            self.sheet = sheet_of(self.live)
        else:
            self.live, self.sheet = value, None
        if self.sheet is None:
            try:
                self._copy = detached(value)
            except (
                RecursionError
            ):  # nested nearly as deep as can be saved: written whole whenever its channel is
                self._copy = OPAQUE

    @property
    def copy(self) -> Any:
        """The copy of the containers; made anew, by a walk, where there is a sheet."""
        return self._copy if self.sheet is None else self.sheet.apart(self.live)

    def stands(self, value: Any) -> bool:
        """Whether `value`, which is what `live` was, has not changed since. In doubt it has."""
        if self.sheet is None:
            return bool(value == self._copy)
        if type(value) is not list:
            return False
        items = cast("list[Any]", value)
        return len(items) == len(self.live) and all(map(is_, self.live, items)) and self.sheet.stands()

    def absorb(self, change: Change, value: Any) -> None:
        """From now on the shadow of `value`, which differs from the committed one by `change`."""
        if change.kind == APPEND:
            self._absorb_items(change.piece)
        elif change.kind == PATCH and self.sheet is None:
            self._copy = apply_patch(self._copy, detached(change.piece))
            self.live = list(cast("list[Any]", value)) if type(value) is list else value
        else:
            self.take(value)

    def _absorb_items(self, items: list[Any]) -> None:
        before = len(self.live)
        if self.sheet is not None and not self.sheet.enter(items):
            self._copy, self.sheet = self.sheet.apart(self.live), None
        self.live.extend(items)
        if self.sheet is None:
            if before < SHEET_FROM <= len(self.live):
                self.take(self.live)
            else:
                self._copy.extend(detached(items))


def change_of(shadow: Shadow, new: Any, *, calm: bool = False) -> Change | None:
    """The change from what was committed to `new`; None where nothing changed.

    `calm`: no code that could change a committed object in place has run since somebody found the shadow to stand; which
    objects `new` has tells all.
    """
    sheet = shadow.sheet
    try:
        if sheet is not None and type(new) is list:
            return _sheet_change(shadow, sheet, cast("list[Any]", new), calm=calm)
        old = shadow.copy
        if type(new) is list and type(old) is list:
            return _list_change(cast("list[Any]", old), shadow.live, cast("list[Any]", new))
        if equal(old, new):
            return None
        operation = operation_of(old, new)
    except RecursionError:
        operation = None
    return _by(operation, new)


def _by(operation: list[Any] | None, new: Any) -> Change:
    return Change(BASE, new, 1) if operation is None else Change(PATCH, operation, 1)


def _appended(items: list[Any]) -> Change | None:
    return Change(APPEND, items, len(items)) if items else None


def _list_change(old: list[Any], live: list[Any], new: list[Any]) -> Change | None:
    length = len(old)
    if len(new) >= length:
        head = new if len(new) == length else new[:length]
        if old == head and _same_scalars(old, live, head):
            return _appended(new[length:])
    return _by(operation_of(old, new), new)


def _same_scalars(old: list[Any], live: list[Any], new: list[Any]) -> bool:
    """Whether the items that are new objects are equal in type as well."""
    if not any(map(is_not, live, new)):
        return True
    return all(a is b or exact(o, b) for o, a, b in zip(old, live, new, strict=True))


def _sheet_change(shadow: Shadow, sheet: Sheet, new: list[Any], *, calm: bool) -> Change | None:
    """As `_list_change`; only the items between the first and the last that are other objects are looked at."""
    live: list[Any] = shadow.live
    length = len(live)
    head = tail = 0
    if calm or sheet.stands():
        most = min(length, len(new))
        if most == length and all(map(is_, live, new)):
            return _appended(new[length:])
        head = next(compress(count(), map(is_not, live, new)), most)
        behind = map(is_not, islice(reversed(live), most - head), reversed(new))
        tail = next(compress(count(), behind), most - head)
    old = sheet.apart(live[head : length - tail])
    now = new[head : len(new) - tail]
    if len(now) == len(old) or (len(now) > len(old) and not tail):
        kept = now[: len(old)]
        if old == kept and exact(old, kept):
            shadow.take(new[:length])  # equal, by other objects
            return _appended(new[length:])
    return _by(list_operation(old, now, head, len(new)), new)
