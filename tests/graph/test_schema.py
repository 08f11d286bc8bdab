"""What the annotations of a state say: channels, managed values, and how an instance is made of it."""

from __future__ import annotations

import operator
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, NotRequired, Required, TypeVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import ReadOnly, TypeAliasType, TypedDict

from perdure.channels import BinaryOperatorAggregate, EphemeralValue, LastValue, Topic
from perdure.graph.builder import GraphBuilder
from perdure.graph.schema import schema_of
from perdure.managed import IsLastStep, RemainingSteps


def keep_first(a: Any, b: Any) -> Any:
    return a or b


class Plain(TypedDict):
    x: int
    log: Annotated[list[str], operator.add]


class Wrapped(TypedDict, total=False):
    x: Required[Annotated[int, operator.add]]
    y: Annotated[NotRequired[int], operator.add]
    z: ReadOnly[int]


class Channelled(TypedDict):
    once: Annotated[str, EphemeralValue]
    all: Annotated[list[str], Topic(str, accumulate=True)]
    left: RemainingSteps
    last: IsLastStep


@dataclass
class Data:
    x: int
    y: int = 7
    log: Annotated[list[str], operator.add] = field(default_factory=list)
    nothing: ClassVar[int] = 3


class Model(BaseModel):
    x: int
    y: int = 7
    log: Annotated[list[str], operator.add, Field(description="what happened")] = []


def keyed(name: str, hint: Any) -> Any:
    """A TypedDict with one key, `x`."""
    return TypedDict(name, {"x": hint})  # type: ignore[misc, valid-type]  # made while the tests run


def kinds(schema: Any) -> dict[str, str]:
    return {key: type(channel).__name__ for key, channel in schema_of(schema).channels.items()}


@pytest.mark.parametrize("schema", [Plain, Data, Model])
def test_a_reducer_in_the_annotation_makes_a_reducing_key_and_nothing_makes_a_plain_one(
    schema: type[Any],
) -> None:
    found = schema_of(schema).channels

    assert isinstance(found["x"], LastValue)
    assert isinstance(found["log"], BinaryOperatorAggregate)
    assert found["log"].operator is operator.add
    assert found["log"].key == "log"


def test_required_not_required_and_read_only_are_looked_through() -> None:
    assert kinds(Wrapped) == {
        "x": "BinaryOperatorAggregate",
        "y": "BinaryOperatorAggregate",
        "z": "LastValue",
    }
    assert schema_of(Wrapped).channels["x"].get() == 0


def test_a_channel_in_the_annotation_is_used_and_a_managed_value_is_no_channel() -> None:
    schema = schema_of(Channelled)

    assert kinds(Channelled) == {"once": "EphemeralValue", "all": "Topic"}
    assert set(schema.managed) == {"left", "last"}
    assert schema.order == ("once", "all", "left", "last")
    assert schema.read == schema.order


def test_two_graphs_do_not_share_the_channel_that_stands_in_an_annotation() -> None:
    one, two = schema_of(Channelled).channels["all"], schema_of(Channelled).channels["all"]

    one.update(["a"])

    assert not two.is_available() or two.get() == []


def test_class_variables_are_no_keys() -> None:
    assert schema_of(Data).order == ("x", "y", "log")


def test_inherited_keys_come_first_and_a_repeated_one_counts_as_repeated() -> None:
    class Base(TypedDict):
        a: int
        b: int

    class Child(Base):
        c: Annotated[int, operator.add]

    assert kinds(Child) == {"a": "LastValue", "b": "LastValue", "c": "BinaryOperatorAggregate"}


def test_strings_as_annotations_are_worked_out_with_the_names_of_the_function_around() -> None:
    local_reducer = keep_first

    class Local(TypedDict):
        x: Annotated[int, local_reducer]

    def a_helper_that_draws() -> GraphBuilder[Any, Any, Any, Any]:
        return GraphBuilder(Local)

    assert isinstance(a_helper_that_draws().channels["x"], BinaryOperatorAggregate)


def test_a_name_that_is_nowhere_is_an_error_that_names_it() -> None:
    class Lost(TypedDict):
        x: Nowhere  # type: ignore[name-defined]  # noqa: F821 - that is the point

    with pytest.raises(NameError, match=r"Lost name 'Nowhere'"):
        GraphBuilder(Lost)


def test_a_generic_schema_may_be_given_with_its_argument() -> None:
    T = TypeVar("T")

    class Box(TypedDict, Generic[T]):
        item: T

    assert schema_of(Box[int]).order == ("item",)


def test_a_bare_type_is_a_state_of_one_value() -> None:
    schema = schema_of(Annotated[Sequence[int], operator.add])

    assert schema.read == "__root__"
    assert schema.channels["__root__"].get() == []
    assert schema_of(dict).read == "__root__"
    assert (
        schema_of(TypeAliasType("Numbers", Annotated[list[int], operator.add])).channels["__root__"].get()
        == []
    )


@pytest.mark.fact(5)
@pytest.mark.parametrize("reducer", [lambda a: a, lambda a, b, c: a, lambda *a: a, lambda a, b, c=1: a])
def test_a_reducer_that_does_not_take_two_arguments_is_refused_when_the_graph_is_created(
    reducer: Any,
) -> None:
    State = keyed("State", Annotated[int, reducer])

    with pytest.raises(
        ValueError, match=r"Invalid reducer signature. Expected \(a, b\) -> c. Got \(.* key 'x'"
    ):
        GraphBuilder(State)


def test_a_built_in_without_a_signature_and_keyword_options_are_fine_as_reducers() -> None:
    def options(a: int, b: int, *, strict: bool = False, **more: Any) -> int:
        return a + b

    for reducer in (max, options, operator.or_):
        State = keyed("State", Annotated[int, reducer])
        assert isinstance(schema_of(State).channels["x"], BinaryOperatorAggregate)


def test_marks_of_other_libraries_are_no_reducers() -> None:
    class Mark:
        pass

    State = keyed("State", Annotated[int, Mark, "text", Field(gt=1)])

    assert kinds(State) == {"x": "LastValue"}


@pytest.mark.fact(6)
def test_a_managed_value_in_an_input_or_output_schema_is_refused() -> None:
    text = r"Invalid managed channels detected in Channelled: left, last. Managed channels are not permitted in Input/Output"

    with pytest.raises(ValueError, match=text):
        GraphBuilder(Plain, input_schema=Channelled)
    with pytest.raises(ValueError, match=text):
        GraphBuilder(Plain, output_schema=Channelled)
    assert "left" in GraphBuilder(Channelled).managed


@pytest.mark.fact(8)
def test_a_value_that_is_no_type_only_warns_if_it_can_be_hashed() -> None:
    with pytest.warns(UserWarning, match="Invalid state schema: 'abc'"):
        GraphBuilder("abc")  # type: ignore[arg-type]  # that is the point

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        GraphBuilder(Annotated[list, operator.add])  # type: ignore[arg-type]  # checkers know no such type form


@pytest.mark.fact(8)
@pytest.mark.parametrize("value", [{"x": int}, Data(1), Model(x=1), [int]])
def test_a_value_that_cannot_be_hashed_is_refused_as_a_schema(value: Any) -> None:
    with pytest.raises(TypeError, match="A state schema is a class"):
        GraphBuilder(value)


@pytest.mark.parametrize("order", [("plain", "reduced"), ("reduced", "plain")])
def test_a_key_that_is_plain_in_one_schema_and_reduced_in_another_is_reduced(order: tuple[str, str]) -> None:
    schemas: dict[str, Any] = {
        "plain": keyed("plain", list),
        "reduced": keyed("reduced", Annotated[list, operator.add]),
    }

    builder = GraphBuilder(schemas[order[0]], input_schema=schemas[order[1]])

    assert isinstance(builder.channels["x"], BinaryOperatorAggregate)


def test_two_reducers_for_a_key_are_refused_and_the_message_names_both() -> None:
    One = keyed("One", Annotated[list, operator.add])
    Other = keyed("Other", Annotated[list, keep_first])

    with pytest.raises(
        ValueError, match=r"Channel 'x' already exists with a different type: .*add.*keep_first.* in Other"
    ):
        GraphBuilder(One, output_schema=Other)


def test_a_reserved_name_is_refused_as_a_key() -> None:
    for key in ("__start__", "__pregel_tasks", "branch:to:a"):
        with pytest.raises(ValueError, match="reserved name"):
            schema_of(TypedDict("State", {key: int}))


# ---- instances


def build(schema: Any, values: dict[str, Any]) -> Any:
    make = schema_of(schema).build
    assert make is not None
    return make(values)


def test_a_typed_dict_is_handed_over_as_the_dict_it_is() -> None:
    assert schema_of(Plain).build is None


def test_a_dataclass_and_a_model_are_made_of_the_keys_there_are_with_their_defaults() -> None:
    assert build(Data, {"x": 1}) == Data(1, 7, [])
    assert build(Model, {"x": "1"}) == Model(x=1)


def test_a_dataclass_field_that_is_not_taken_by_init_is_set() -> None:
    @dataclass(frozen=True)
    class Late:
        x: int
        y: int = field(init=False, default=0)

    made = build(Late, {"x": 1, "y": 2})

    assert (made.x, made.y) == (1, 2)


def test_a_model_is_validated() -> None:
    with pytest.raises(ValidationError):
        build(Model, {"x": "no number"})


def test_keys_are_the_names_of_a_model_s_fields_whatever_their_aliases() -> None:
    class Aliased(BaseModel):
        long_name: int = Field(alias="l")

    class ByName(BaseModel):
        model_config = ConfigDict(populate_by_name=True)
        long_name: int = Field(alias="l")

    for model in (Aliased, ByName):
        assert schema_of(model).order == ("long_name",)
        assert build(model, {"long_name": 3}).long_name == 3


def test_a_schema_without_pydantic_does_not_import_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydantic")

    assert schema_of(Data).build is not None
    assert "pydantic" not in sys.modules
