"""A sheet notices whatever is done in place to what stands in a long list, at any depth, and takes part in no guess."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from perdure.storage import sheets
from perdure.storage.deltas import APPEND, PATCH, Shadow, change_of
from perdure.storage.patches import apply_patch
from perdure.storage.sheets import Sheet
from perdure.storage.stand_ins import detached

AT = 17  # the item that something happens to
LENGTH = 2 * sheets.SHEET_FROM


@dataclass
class Note:
    text: str
    tags: dict[str, Any] = field(default_factory=dict[str, Any])


def message(number: int) -> dict[str, Any]:
    return {"content": f"words {number}", "calls": [{"name": "look", "args": {"at": [number]}}], "more": {}}


def shadowed(items: list[Any]) -> Shadow:
    shadow = Shadow(items)
    assert isinstance(shadow.sheet, Sheet)
    return shadow


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update(content="other"),
        lambda m: m.update(new=1),
        lambda m: m.pop("more"),
        lambda m: m.update(text=m.pop("content")),
        lambda m: m["more"].update(deep=1),
        lambda m: m["calls"].append({}),
        lambda m: m["calls"].clear(),
        lambda m: m["calls"][0].update(name="leap"),
        lambda m: m["calls"][0]["args"]["at"].append(1),
        lambda m: m["calls"][0].update(args={"at": [-1]}),
    ],
)  # fmt: skip
def test_a_change_in_place_at_any_depth_is_noticed_and_written(change: Callable[[Any], Any]) -> None:
    items: list[Any] = [message(number) for number in range(LENGTH)]
    shadow, before = shadowed(items), detached(items)

    change(items[AT])
    found = change_of(shadow, items)

    assert not shadow.stands(items)
    assert found is not None
    assert found.kind == PATCH
    assert apply_patch(before, found.piece) == items


def test_a_change_of_a_container_that_came_later_is_noticed() -> None:
    items: list[Any] = [message(number) for number in range(LENGTH)]
    shadow = shadowed(items)
    items[AT]["more"] = {}  # equal, and not the one that was looked at

    assert change_of(shadow, items) is None
    items[AT]["more"]["deep"] = 1
    assert change_of(shadow, items) is not None


def test_a_list_that_got_longer_or_shorter_does_not_stand() -> None:
    items: list[Any] = [message(number) for number in range(LENGTH)]
    shadow = shadowed(items)
    assert shadow.stands(list(items))

    assert not shadow.stands(items[:-1])
    assert not shadow.stands([*items, message(LENGTH)])


def test_what_moves_from_one_item_to_its_neighbour_is_noticed() -> None:
    items: list[Any] = [{"calls": [1], "bad": []} for _ in range(LENGTH)]
    shadow = shadowed(items)

    items[AT]["bad"].append(items[AT]["calls"].pop())

    assert not shadow.stands(items)


def test_objects_are_compared_by_their_fields() -> None:
    notes = [Note(f"n{number}", {"a": 1}) for number in range(LENGTH)]
    shadow = shadowed(notes)
    assert shadow.stands(notes)

    notes[AT].tags["b"] = 2

    assert not shadow.stands(notes)
    change = change_of(shadow, notes)
    assert change is not None
    assert change.piece[1:3] == [AT, 1]


def test_an_object_whose_fields_were_replaced_as_a_whole_is_looked_at() -> None:
    notes = [Note(f"n{number}") for number in range(LENGTH)]
    shadow = shadowed(notes)

    notes[AT].__dict__ = {"text": "other", "tags": {}}

    assert change_of(shadow, notes) is not None


def test_equal_items_by_other_objects_are_no_change_and_known_from_then_on() -> None:
    shadow = shadowed([message(number) for number in range(LENGTH)])
    others: list[Any] = [message(number) for number in range(LENGTH)]

    assert change_of(shadow, others) is None
    assert shadow.stands(others)


def test_items_behind_the_end_are_appended_whatever_they_are() -> None:
    items: list[Any] = [message(number) for number in range(LENGTH)]
    shadow = shadowed(items)
    for strange in (message(-1), Note("n"), (1, [2]), "text"):
        items = [*items, strange]
        change = change_of(shadow, items)
        assert change is not None
        assert change.kind == APPEND
        shadow.absorb(change, items)
        assert change_of(shadow, items) is None

    items[-2][1].append(3)

    assert change_of(shadow, items) is not None


def test_a_list_that_grows_long_gets_a_sheet() -> None:
    items: list[Any] = []
    shadow = Shadow(items)
    for number in range(LENGTH):
        items = [*items, message(number)]
        change = change_of(shadow, items)
        assert change is not None
        shadow.absorb(change, items)

    assert shadow.sheet is not None
    assert shadow.copy == items


def test_an_item_in_the_middle_that_is_another_object_is_written_alone() -> None:
    items: list[Any] = [message(number) for number in range(LENGTH)]
    shadow = shadowed(items)

    items = [*items[:AT], message(99), *items[AT + 1 :]]
    change = change_of(shadow, items)

    assert change is not None
    before = [message(number) for number in range(LENGTH)]
    assert apply_patch(before, change.piece) == items


def test_a_value_that_raises_when_compared_is_a_change() -> None:
    numpy = pytest.importorskip("numpy")
    items: list[Any] = [{"x": 3} for _ in range(LENGTH)]
    shadow = shadowed(items)

    items[AT]["x"] = numpy.array([1, 2])

    assert not shadow.stands(items)


@pytest.mark.parametrize(
    "strange", [(1, [2]), {1}, bytearray(b"a"), [[(1, [2])]], {"in": {1}}, {"note": Note("n")}]
)
def test_what_is_not_for_a_sheet_is_copied_one_by_one(strange: Any) -> None:
    shadow = Shadow([strange] * LENGTH)

    assert shadow.sheet is None
    assert shadow.stands([strange] * LENGTH)


def test_a_list_that_holds_itself_is_not_for_a_sheet() -> None:
    items: list[Any] = [1] * LENGTH
    inner: list[Any] = [items]
    inner.append(inner)

    assert not Sheet().enter([inner])


def test_models_show_extra_and_private_parts_too() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Open(pydantic.BaseModel, extra="allow"):
        x: int = 1
        _seen: int = pydantic.PrivateAttr(0)

    def changed(change: Callable[[Any], Any]) -> bool:
        models = [Open(x=2, more={}) for _ in range(LENGTH)]
        shadow = shadowed(models)
        assert shadow.stands(models)
        change(models[AT])
        return not shadow.stands(models) and change_of(shadow, models) is not None

    assert changed(lambda model: setattr(model, "x", 3))
    assert changed(lambda model: setattr(model, "other", 3))
    assert changed(lambda model: model.more.update(deep=1))
    assert changed(lambda model: setattr(model, "_seen", 1))
    assert changed(lambda model: Open.__init__(model, x=2, more={"deep": 1}))
