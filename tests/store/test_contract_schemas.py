"""What a schema says of a value: TypedDicts and dataclasses by our own check, pydantic models by pydantic's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NewType, NotRequired, Optional, Required, Union

import hypothesis.strategies as st
import pydantic
import pytest
from hypothesis import given, settings
from typing_extensions import TypeAliasType, TypedDict

import perdure
from perdure import Contract, ContractError
from perdure.errors import EncodingError
from perdure.storage.contracts.book import contracts_of
from perdure.storage.item_codec import ItemCodec
from perdure.store.memory import InMemoryStore

ME = ("users", "ada")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    BIG = 2


@pydantic.with_config(extra="forbid")  # as ours does
class Pet(TypedDict, total=False):
    kind: Required[Literal["cat", "dog", 7, 1]]
    friends: list[Pet]


UserId = NewType("UserId", str)
Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")


@pydantic.with_config(extra="forbid")
class Everything(TypedDict):
    text: str
    count: int
    share: float
    yes: bool
    none: None
    maybe: Optional[str]  # noqa: UP045 - both spellings are looked at
    either: Union[int, list[str]]  # noqa: UP007
    modern: int | dict[str, bool]
    pair: tuple[int, str]
    many: tuple[int, ...]
    rows: Sequence[Mapping[str, float]]
    colour: Colour
    size: Size
    noted: Annotated[str, "a note"]
    user: UserId
    json: Json
    anything: Any
    pet: Pet
    extra: NotRequired[list[Any]]


WHOLE: Final[dict[str, Any]] = {
    "text": "t", "count": 1, "share": 1, "yes": True, "none": None, "maybe": None, "either": ["a"], "modern": {"a": True},
    "pair": [1, "a"], "many": [], "rows": [{"a": 0.5}], "colour": "red", "size": 2, "noted": "n", "user": "u",
    "json": [None, {"a": [1]}], "anything": {"b": 2}, "pet": {"kind": "cat", "friends": [{"kind": 7}]},
}  # fmt: skip
STRICT: Final = pydantic.TypeAdapter(Everything)

leaves = st.none() | st.booleans() | st.integers(-2, 8) | st.sampled_from([0.5, 1.0, "", "red", "cat", "a"])
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)


def problem_of(schema: type[Any], value: Any) -> str | None:
    """The path at which the value breaks the contract; None: it does not."""
    agreed = contracts_of([Contract(("a",), schema)])
    assert agreed is not None
    try:
        ItemCodec(contracts=agreed).encode(("a",), "k", value)
    except ContractError as error:
        return error.path
    return None


@settings(max_examples=600, deadline=None)
@given(st.sampled_from([*WHOLE, "extra"]), values)
def test_the_check_of_a_typeddict_agrees_with_pydantic_s_strict_one(key: str, value: Any) -> None:
    """Of what JSON text says; one part of a value that fits is changed."""
    if key == "size" and isinstance(value, bool | float):
        return  # pydantic takes these for a member with the value 1
    changed = {**WHOLE, key: value}
    try:
        STRICT.validate_json(json.dumps(changed), strict=True)
        fits = True
    except pydantic.ValidationError:
        fits = False

    problem = problem_of(Everything, changed)

    assert (problem is None) == fits, problem
    assert problem is None or problem.startswith(f"value.{key}")


@pytest.mark.parametrize("key", WHOLE)
def test_a_key_that_is_required_must_be_there(key: str) -> None:
    assert problem_of(Everything, {k: v for k, v in WHOLE.items() if k != key}) == f"value.{key}"


def test_a_key_that_the_schema_does_not_have_is_refused() -> None:
    assert problem_of(Everything, {**WHOLE, "nmae": 1}) == "value.nmae"
    assert problem_of(Everything, {**WHOLE, "pet": {"kind": "cat", "age": 1}}) == "value.pet.age"


def test_true_is_no_number() -> None:
    assert problem_of(Everything, {**WHOLE, "pet": {"kind": True}}) == "value.pet.kind"
    assert problem_of(Everything, {**WHOLE, "size": True}) == "value.size"


@dataclass
class Address:
    street: str
    zip: str | None = None
    lines: list[str] = field(default_factory=list)


@dataclass
class Person:
    name: str
    home: Address
    others: dict[str, Address] = field(default_factory=dict)


def test_a_dataclass_says_what_is_required_by_what_has_no_default() -> None:
    fits = {"name": "Ada", "home": {"street": "S"}}
    assert problem_of(Person, fits) is None
    assert problem_of(Person, {**fits, "others": {"work": {"street": "T", "zip": "1"}}}) is None
    assert problem_of(Person, {**fits, "others": {"work": {"zip": "1"}}}) == "value.others.work.street"
    assert problem_of(Person, {**fits, "home": {"street": "S", "lines": ["a", 2]}}) == "value.home.lines[1]"
    assert problem_of(Person, {"name": "Ada"}) == "value.home"
    assert problem_of(Person, {**fits, "age": 1}) == "value.age"


class Model(pydantic.BaseModel):
    name: str
    born: date
    money: Decimal = Decimal(0)
    home: Address | None = None


class Strict(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    n: Annotated[int, pydantic.Field(ge=0)]


class Around(TypedDict):
    inner: list[Strict]


def test_a_pydantic_model_is_looked_at_as_json_and_strictly() -> None:
    fits = {"name": "Ada", "born": "1815-12-10"}
    assert problem_of(Model, fits) is None
    assert problem_of(Model, {**fits, "money": "1.5", "home": {"street": "S"}}) is None
    assert problem_of(Model, {**fits, "unknown": 1}) is None  # as the model itself says
    assert problem_of(Model, {**fits, "name": 1}) == "value.name"
    assert problem_of(Model, {**fits, "born": "yesterday"}) == "value.born"
    assert problem_of(Model, {"name": "Ada"}) == "value.born"
    assert problem_of(Strict, {"n": "1"}) == "value.n"
    assert problem_of(Strict, {"n": -1}) == "value.n"
    assert problem_of(Strict, {"n": 1, "m": 2}) == "value.m"
    assert problem_of(Around, {"inner": [{"n": 1}, {"n": True}]}) == "value.inner[1].n"
    assert problem_of(Around, {"inner": [5]}) == "value.inner[0]"
    with pytest.raises(ContractError, match="greater than or equal to 0"):
        ItemCodec(contracts=contracts_of([Contract(("a",), Strict)])).encode(("a",), "k", {"n": -1})


@pytest.mark.parametrize(
    ("instance", "instead"),
    [
        (Model(name="Ada", born=date(1815, 12, 10)), r"model_dump\(mode='json'\)"),
        (Address("S"), "asdict"),
        ("text", "dict"),
    ],
)
def test_an_instance_of_a_schema_is_no_value_and_the_error_says_what_to_pass(
    instance: Any, instead: str
) -> None:
    with InMemoryStore(contracts=[Contract(ME, Model)]) as store, pytest.raises(EncodingError, match=instead):
        store.put(ME, "k", instance)


def test_a_store_with_contracts_of_typeddicts_never_imports_pydantic() -> None:
    program = (
        "import sys, typing, perdure\n"
        "class P(typing.TypedDict):\n    name: str\n"
        "store = perdure.connect('memory://', contracts=[perdure.Contract(('a',), P)]).store\n"
        "store.put(('a',), 'k', {'name': 'x'})\n"
        "assert store.get(('a',), 'k').value == {'name': 'x'}\n"
        "print('pydantic' in sys.modules)"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(perdure.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=here
    )

    assert done.stdout.strip() == "False"
