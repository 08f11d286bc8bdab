"""The predicate of filters: as a naive reading of `docs/reference/filters.md` decides, and by the laws of logic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.errors import QueryError
from perdure.storage.filter_tree import FILTER_CONDITIONS, FILTER_DEPTH, OPERATORS
from perdure.storage.filters import compile_filter

GONE = object()


# ---- a naive reading, slow and plain


def meets(wanted: dict[str, Any], value: Any) -> bool:
    """A whole filter, of a whole value."""
    for key, condition in wanted.items():
        match key:
            case "$and":
                fine = all(meets(one, value) for one in condition)
            case "$or":
                fine = any(meets(one, value) for one in condition)
            case "$not":
                fine = not meets(condition, value)
            case _:
                fine = field(condition, everything_at(value, key))
        if not fine:
            return False
    return True


def field(condition: Any, found: list[Any]) -> bool:
    """A field's condition, of all that its path finds."""
    if not (isinstance(condition, dict) and any(key.startswith("$") for key in condition)):
        return any(of_one(condition, one) for one in found)
    about_one: list[Any] = []
    about_all: list[bool] = []

    def collect(parts: dict[str, Any]) -> None:
        for name, operand in parts.items():
            if name == "$not":
                about_all.append(not field(operand, found))
            elif name == "$and":
                for part in operand:
                    if isinstance(part, dict) and any(key.startswith("$") for key in part):
                        collect(part)
                    else:
                        about_one.append(part)
            elif name == "$or" and any(says_not(part) for part in operand):
                about_all.append(any(field(part, found) for part in operand))
            else:
                about_one.append({name: operand})

    collect(condition)
    return any(all(of_one(part, one) for part in about_one) for one in found) and all(about_all)


def says_not(condition: Any) -> bool:
    if not isinstance(condition, dict):
        return False
    return "$not" in condition or any(
        says_not(part) for name in ("$and", "$or") for part in condition.get(name, [])
    )


def of_one(condition: Any, one: Any) -> bool:
    if not isinstance(condition, dict):
        return equal(one, condition)
    if not any(key.startswith("$") for key in condition):
        return isinstance(one, dict) and meets(condition, one)
    return all(operator(name, operand, one) for name, operand in condition.items())


def operator(name: str, operand: Any, one: Any) -> bool:
    match name:
        case "$and":
            return all(of_one(part, one) for part in operand)
        case "$or":
            return any(of_one(part, one) for part in operand)
        case "$not":
            return not of_one(operand, one)
        case "$eq":
            return equal(one, operand)
        case "$ne":
            return not equal(one, operand)
        case "$in":
            return any(equal(one, each) for each in operand)
        case "$nin":
            return not any(equal(one, each) for each in operand)
        case "$exists":
            return operand is (one is not GONE)
        case "$contains":
            if kind(one) == "text":
                return kind(operand) == "text" and one.find(operand) >= 0
            return kind(one) == "list" and any(one_is_there(operand, each) for each in one)
        case _:
            if kind(one) != kind(operand) or kind(one) not in ("number", "text"):
                return False
            return {"$gt": one > operand, "$gte": one >= operand, "$lt": one < operand}.get(
                name, one <= operand
            )


def one_is_there(operand: Any, each: Any) -> bool:
    return shape(operand) == shape(each)


def equal(one: Any, operand: Any) -> bool:
    return one is GONE if operand is None and one is not None else shape(one) == shape(operand)


def kind(one: Any) -> str:
    match one:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object" if isinstance(one, dict) else "gone"


def shape(one: Any) -> Any:
    """Something that Python compares as JSON is compared."""
    match kind(one):
        case "list":
            return "list", [shape(each) for each in one]
        case "object":
            return "object", {key: shape(each) for key, each in one.items()}
        case "gone":
            return "gone"
        case name:
            return name, one


def everything_at(one: Any, path: str) -> list[Any]:
    if isinstance(one, dict) and path in one:
        return [one[path]]
    step, rest = re.fullmatch(r"\.?(\[[^\]]*\]|[^.\[]+)(.*)", path, re.DOTALL).groups()  # type: ignore[union-attr]
    if step == "[*]":
        inner = one if isinstance(one, list) else []
    elif step.startswith("["):
        place = int(step[1:-1])
        inside = isinstance(one, list) and -len(one) <= place < len(one)
        inner = [one[place]] if inside else []
    else:
        inner = [one[step]] if isinstance(one, dict) and step in one else []
    if not inner:
        return [GONE]
    return [
        found for each in inner for found in (everything_at(each, rest.removeprefix(".")) if rest else [each])
    ]


# ---- what is generated

PLAIN = ["a", "b", "a.b", "a[0]", "a[-1]", "a[0].b", "a.b.a", "b[1][0]", "c", "a.b[0]"]
MANY = ["a[*]", "a[*].b", "a[*][*]", "b[*].a[0]", "a.b[*]", "a[*].b[*]"]
scalars = (
    st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from([0.5, 1.0, "", "a", "ab", "b", 2**70])
)
names = st.sampled_from(["a", "b", "a.b", "a[0]", "a[*]", "b.a"])
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
values = st.dictionaries(names, anything, max_size=4)
ordered = st.integers(-1, 2) | st.sampled_from([0.5, "a", "ab", ""])
tests = st.one_of(
    *(st.fixed_dictionaries({name: ordered}) for name in ("$gt", "$gte", "$lt", "$lte")),
    *(st.fixed_dictionaries({name: anything}) for name in ("$eq", "$ne", "$contains")),
    *(st.fixed_dictionaries({name: st.lists(anything, max_size=3)}) for name in ("$in", "$nin")),
    st.fixed_dictionaries({"$exists": st.booleans()}),
    st.fixed_dictionaries({"$gte": ordered, "$lte": ordered}),
)


def logic(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.fixed_dictionaries({"$and": some}),
        st.fixed_dictionaries({"$or": some}),
        st.fixed_dictionaries({"$not": inner}),
    )


def fields(inner: st.SearchStrategy[Any], paths: Iterable[str]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(sorted(paths)), inner, max_size=2)


def filters(paths: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    conditions = st.recursive(
        scalars | tests,
        lambda inner: (
            logic(inner)
            | st.builds(dict[str, Any], fields(inner, paths))
            | st.builds(lambda test, more: {**test, **more}, tests, logic(inner))
        ),
        max_leaves=4,
    )
    return st.recursive(fields(conditions, paths), logic, max_leaves=3)


@settings(max_examples=600, deadline=None)
@given(filters(PLAIN + MANY), values)
def test_a_filter_means_what_a_naive_reading_says(wanted: dict[str, Any], value: dict[str, Any]) -> None:
    assert compile_filter(wanted)(value) == meets(wanted, value)


def holds(wanted: dict[str, Any], value: dict[str, Any]) -> bool:
    return compile_filter(wanted)(value)


@settings(max_examples=200, deadline=None)
@given(filters(PLAIN + MANY), filters(PLAIN + MANY), values)
def test_filters_obey_the_laws_of_logic(
    one: dict[str, Any], other: dict[str, Any], value: dict[str, Any]
) -> None:
    neither, not_both = {"$not": {"$or": [one, other]}}, {"$not": {"$and": [one, other]}}
    not_one, not_other = {"$not": one}, {"$not": other}

    assert holds({"$not": not_one}, value) == holds(one, value)
    assert holds(not_one, value) != holds(one, value)
    assert holds(neither, value) == holds({"$and": [not_one, not_other]}, value)
    assert holds(not_both, value) == holds({"$or": [not_one, not_other]}, value)
    assert holds({"$and": [one, other]}, value) == holds({"$and": [other, one]}, value)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLAIN), anything, st.lists(anything, max_size=3), values)
def test_the_negative_operators_are_the_opposites_of_the_positive_ones(
    path: str, operand: Any, operands: list[Any], value: dict[str, Any]
) -> None:
    assert holds({path: {"$nin": operands}}, value) == holds({path: {"$not": {"$in": operands}}}, value)
    assert holds({path: {"$ne": operand}}, value) == holds({path: {"$not": {"$eq": operand}}}, value)
    assert holds({path: {"$exists": False}}, value) != holds({path: {"$exists": True}}, value)
    assert holds({path: {"$in": operands}}, value) == any(
        holds({path: {"$eq": one}}, value) for one in operands
    )


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(PLAIN + MANY), tests, tests, values)
def test_a_not_on_a_field_is_the_not_of_the_field(
    path: str, condition: dict[str, Any], other: dict[str, Any], value: dict[str, Any]
) -> None:
    assert holds({path: {"$not": condition}}, value) == holds({"$not": {path: condition}}, value)
    either = {"$or": [condition, other]}
    assert holds({path: either}, value) == holds({"$or": [{path: condition}, {path: other}]}, value)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=12), scalars, values)
def test_a_literal_key_wins(key: str, literal: Any, value: dict[str, Any]) -> None:
    if key.startswith("$"):
        key = "-" + key
    whole = {**value, key: literal}
    assert holds({key: {"$eq": literal}}, whole)
    assert holds({key: {"$exists": True}}, whole)
    if key.strip("."):  # periods at the end of a path mean nothing
        at, whole = "in." + key, {"in": whole}
        assert holds({at: {"$eq": literal}}, whole)
        assert holds({at: {"$exists": True}}, whole)


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab.[]*{}-01,$ \0\ud800", max_size=12), values)
def test_any_text_can_stand_as_a_key(key: str, value: dict[str, Any]) -> None:
    if key.startswith("$"):
        key = "-" + key

    assert holds({key: {"$exists": True}}, value) or holds({key: None}, value)


# ---- by examples, as the page tells them

TEA = {
    "name": "tea",
    "cups": 3,
    "tags": ["hot", "green"],
    "from": [{"land": "Japan", "year": 2}, {"land": "China"}],
}


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        # One element meets all that stands under its key ...
        ({"from[*].land": {"$gt": "D", "$lt": "K"}}, True),
        ({"from[*].land": {"$gt": "D", "$lt": "I"}}, False),
        ({"from[*]": {"land": "China", "year": None}}, True),
        ({"from[*]": {"land": "China", "year": 2}}, False),
        # ... two keys are two questions, ...
        ({"from[*].land": "China", "from[*].year": 2}, True),
        # ... and $not says that no element does.
        ({"tags[*]": {"$not": "hot"}}, False),
        ({"tags[*]": {"$ne": "hot"}}, True),
        ({"tags[*]": {"$not": "cold"}}, True),
        ({"tags[*]": {"$gt": "h", "$not": {"$eq": "green"}}}, False),
        ({"tags[*]": {"$gt": "h", "$not": {"$eq": "cold"}}}, True),
        ({"from[*]": {"year": {"$not": {"$eq": 2}}}}, True),
        # An empty list, and what is no list, count as one missing value.
        ({"nothing[*]": {"$ne": 1}}, True),
        ({"cups[*]": None}, True),
        ({"cups[*]": {"$exists": False}}, True),
        ({"tags[*]": {"$exists": False}}, False),
        ({"tags[1]": "green", "tags[-2]": "hot"}, True),
        ({"tags[2]": {"$exists": False}}, True),
        ({"tags": {"$contains": "hot"}, "name": {"$contains": "ea"}}, True),
        ({"name": {"$contains": 1}}, False),
        ({"cups": {"$contains": 3}}, False),
        ({"from": {"$contains": {"land": "China"}}}, True),
        ({"cups": {"$in": []}}, False),
        ({"cups": {"$nin": []}}, True),
        ({"cups": {"$in": [True, "3", None]}}, False),
        ({"absent": {"$in": [None]}}, True),
        ({"cups": {"$or": [1, {"$gt": 2}]}}, True),
        ({"$or": [{"cups": 1}, {"name": "tea"}], "tags[0]": "hot"}, True),
    ],
)  # fmt: skip
def test_what_a_filter_means(wanted: dict[str, Any], fits: bool) -> None:
    assert compile_filter(wanted)(TEA) is fits


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ({"n": {"$foo": 1}}, "$foo"),
        ({"$foo": 1}, "$foo"),
        ({"$gt": 1}, "$gt"),
        ({"$and": [{"$or": [{"n": {"$like": 1}}]}]}, "$like"),
        ({"$and": []}, "$and"),
        ({"$or": {}}, "$or"),
        ({"n": {"$or": []}}, "$or"),
        ({"n": {"$and": 5}}, "$and"),
        ({"$not": [{}]}, "filter['$not']"),
        ({"$or": [5]}, "filter['$or'][0]"),
        ({"n": {"$in": 5}}, "filter['n']['$in']"),
        ({"n": {"$in": "abc"}}, "filter['n']['$in']"),
        ({"n": {"$nin": [{1}]}}, "filter['n']['$nin'][0]"),
        ({"n": {"$exists": 1}}, "filter['n']['$exists']"),
        ({"n": {"$exists": None}}, "filter['n']['$exists']"),
        ({"n": {"$contains": b"x"}}, "filter['n']['$contains']"),
        ({"n": float("inf")}, "filter['n']"),
        ({"n": {"$eq": {"x": float("nan")}}}, "filter['n']['$eq']['x']"),
        ({"n": {"$gt": True}}, "filter['n']['$gt']"),
        ({"n": {"$not": {"$not": {"$gt": None}}}}, "filter['n']['$not']['$not']['$gt']"),
        ({"n": {"$and": [{"$gt": 1, "plain": 1}]}}, "$gt"),
        ({"n": {5: 1}}, "5"),
    ],
)
def test_what_cannot_be_right_is_refused_and_named(wanted: dict[Any, Any], part: str) -> None:
    with pytest.raises(QueryError) as refused:
        compile_filter(wanted)

    assert refused.value.part == part


@pytest.mark.parametrize("wanted", [{"n": {"$foo": 1}}, {"$foo": 1}, {"$gt": 1}])
def test_the_known_operators_are_named(wanted: dict[str, Any]) -> None:
    with pytest.raises(QueryError) as refused:
        compile_filter(wanted)

    for name in OPERATORS:
        assert name in str(refused.value)


# ---- hostile ones


def nested(times: int, name: str) -> dict[str, Any]:
    wanted: Any = {"n": 1}
    for _ in range(times):
        wanted = {name: wanted if name in ("$not", "n") else [wanted]}
    return wanted


@pytest.mark.parametrize("name", ["$not", "$and", "$or", "n"])
def test_deep_filters_are_refused_and_less_deep_ones_work(name: str) -> None:
    assert compile_filter(nested(FILTER_DEPTH - 2, name))({"n": 1}) == (name != "n")

    for times in (FILTER_DEPTH, 100_000):
        with pytest.raises(QueryError, match="deeper"):
            compile_filter(nested(times, name))


def test_a_filter_within_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["$not"] = endless
    operand: list[Any] = []
    operand.append(operand)
    doubled: Any = {"n": 1}
    doubled_operand: Any = []
    for _ in range(40):
        doubled = {"$and": [doubled, doubled]}
        doubled_operand = [doubled_operand, doubled_operand]

    for wanted in (endless, doubled, {"n": {"$eq": operand}}, {"n": doubled_operand}):
        with pytest.raises(QueryError):
            compile_filter(wanted)


def test_huge_lists_are_fine() -> None:
    fits = compile_filter({"n": {"$in": [*range(200_000), "x"]}})

    assert [fits({"n": n}) for n in (0, 199_999, 200_000, True, "x", 5.0, [])] == [
        True, True, False, False, True, True, False
    ]  # fmt: skip
    assert compile_filter({"$or": [{"n": n} for n in range(10_000)]})({"n": 9_999})
    with pytest.raises(QueryError, match="conditions"):
        compile_filter({"$or": [{"n": 1}] * FILTER_CONDITIONS})


def test_a_path_of_any_length_is_fine() -> None:
    long = ".".join("a" * 200_000)
    indexes = "a" + "[0]" * 200_000

    for path in (long, indexes, "[" * 200_000, "a" + "[*]" * 200_000, "[" + "9" * 10_000 + "]"):
        assert compile_filter({path: 1})({path: 1})
        assert compile_filter({path: None})({"a": {"a": [[[1]]]}})


def test_the_deepest_value_can_be_reached() -> None:
    value: Any = 1
    for _ in range(199):
        value = {"a": value}

    assert compile_filter({".".join("a" * 199): 1})(value)


@pytest.mark.parametrize("number", [10**400, -(10**400), 2**64])
def test_integers_of_any_size_are_compared(number: int) -> None:
    assert compile_filter({"n": {"$gte": number}})({"n": number})
    assert not compile_filter({"n": {"$lt": number}})({"n": number})
