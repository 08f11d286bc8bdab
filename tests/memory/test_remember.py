"""`remember`: facts that a user's function finds, each stored once, with the step."""

from __future__ import annotations

import asyncio
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from engine.kit import Colour
from memory.kit import ADA, MINE, Chat, Foreign, graph_of, of, texts
from perdure import Database, Send
from perdure.errors import EncodingError, PerdureError, ScopeError
from perdure.graph import START, StateGraph
from perdure.memory import content_key, remember
from perdure.runtime import Runtime
from perdure.store.base import InvalidNamespaceError, NotSupported
from perdure.testing import FakeClock


def last(state: Chat) -> Any:
    """An extractor: the last message is the fact."""
    return state["messages"][-1]


def say(run: Colour, db: Database, fact: Any, thread: str = "one", **options: Any) -> Any:
    graph = graph_of(remember(lambda state: fact, namespace=MINE, **options)).compile(db)
    return run.invoke(graph, {"messages": []}, of("ada", thread))


def versions(db: Database, key: str) -> int:
    return len(db.store.history(ADA, key))


def test_texts_dicts_pairs_and_lists_of_them_are_facts(db: Database, run: Colour) -> None:
    say(run, db, ["Ada likes tea", {"text": "has cats", "n": 2}, ("name", "Ada"), ("home", {"in": "Leeds"})])

    found = {item.key: item.value for item in db.store.search(ADA)}
    assert found == {
        content_key("Ada likes tea"): {"text": "Ada likes tea"},
        content_key({"n": 2, "text": "has cats"}): {"text": "has cats", "n": 2},
        "name": {"text": "Ada"},
        "home": {"in": "Leeds"},
    }


@pytest.mark.parametrize("nothing", [None, [], "", "  \n", ["", " "], set(), iter([])])
def test_nothing_is_remembered_of_nothing(db: Database, run: Colour, nothing: Any) -> None:
    assert say(run, db, nothing).get("memories") is None
    assert db.store.count() == 0


def test_one_fact_alone_and_facts_of_a_generator(db: Database, run: Colour) -> None:
    say(run, db, ("name", "Ada"))
    say(run, db, {"text": "has cats"}, "two")
    say(run, db, (f"fact {n}" for n in range(2)), "three")

    assert sorted(texts(db.store)) == ["Ada", "fact 0", "fact 1", "has cats"]


def test_the_same_fact_twice_is_one_item_in_its_first_version(db: Database, run: Colour) -> None:
    say(run, db, "Ada likes tea")
    say(run, db, " Ada  likes\ttea\n", "two")
    say(run, db, ["Ada likes tea", {"text": "Ada likes tea"}], "three")

    assert texts(db.store) == ["Ada likes tea"]
    assert versions(db, content_key("Ada likes tea")) == 1


def test_a_replay_and_a_fork_write_nothing_new(db: Database, run: Colour) -> None:
    graph = graph_of(remember(last, namespace=MINE)).compile(db)
    run.invoke(graph, {"messages": ["Ada likes tea"]}, of("ada"))
    start = next(s for s in run.history(graph, of("ada")) if s.next == ("remember",))

    again = {"configurable": {**start.config["configurable"], "user_id": "ada"}}
    run.invoke(graph, None, again)
    run.invoke(graph, None, again)

    assert versions(db, content_key("Ada likes tea")) == 1


def test_it_commits_with_the_step_or_not_at_all(db: Database, run: Colour) -> None:
    broken = True

    def sibling(state: Chat) -> None:
        if broken:
            raise OSError("the network is down")

    drawn: Any = StateGraph(Chat).add_node(remember(last, namespace=MINE)).add_node("sibling", sibling)
    graph = drawn.add_edge(START, "remember").add_edge(START, "sibling").compile(db)

    with pytest.raises(OSError, match="network"):
        run.invoke(graph, {"messages": ["Ada likes tea"]}, of("ada"))
    assert db.store.count() == 0

    broken = False
    run.invoke(graph, None, of("ada"))
    assert texts(db.store) == ["Ada likes tea"]
    assert versions(db, content_key("Ada likes tea")) == 1


def test_the_history_says_which_node_learnt_it(db: Database, run: Colour) -> None:
    say(run, db, "Ada likes tea", "monday", name="learn")

    (version,) = db.store.history(ADA, content_key("Ada likes tea"))
    assert (version.origin.thread, version.origin.node) == ("monday", "learn")


def test_many_tasks_of_a_step_that_say_the_same_make_one_item(db: Database, run: Colour) -> None:
    drawn: Any = StateGraph(Chat).add_node("learn", remember(lambda fact: fact, namespace=ADA))
    drawn.add_conditional_edges(START, lambda state: [Send("learn", f"fact {n % 3}") for n in range(30)])

    run.invoke(drawn.compile(db), {"messages": []}, of("ada"))

    assert sorted(texts(db.store)) == ["fact 0", "fact 1", "fact 2"]


def test_a_pair_replaces_what_stands_there_only_if_it_says_something_else(db: Database, run: Colour) -> None:
    say(run, db, ("sure", {"is": True}))
    say(run, db, ("sure", {"is": True}), "two")
    assert versions(db, "sure") == 1

    say(run, db, ("sure", {"is": 1}), "three")  # Python calls it equal; JSON does not
    assert db.store.get(ADA, "sure").value["is"] is not True  # type: ignore[union-attr]
    say(run, db, [("sure", {"is": 2}), ("sure", {"is": 3})], "four")
    assert versions(db, "sure") == 3
    assert db.store.get(ADA, "sure").value == {"is": 3}  # type: ignore[union-attr]


def test_a_fact_that_was_merged_into_another_is_left_as_it_is(db: Database, run: Colour) -> None:
    db.store.put(ADA, content_key("Ada likes tea"), {"text": "Ada likes tea and cats"})

    say(run, db, "Ada likes tea")

    assert texts(db.store) == ["Ada likes tea and cats"]


def test_a_key_of_one_s_own_makes_a_later_fact_replace_an_earlier_one(db: Database, run: Colour) -> None:
    say(run, db, {"about": "drink", "is": "tea"}, key=lambda fact: fact["about"])
    say(run, db, {"about": "drink", "is": "milk"}, "two", key=lambda fact: fact["about"])

    assert [(item.key, item.value["is"]) for item in db.store.search(ADA)] == [("drink", "milk")]


def test_writing_again_is_a_choice(db: Database, run: Colour) -> None:
    say(run, db, "Ada likes tea")
    say(run, db, "Ada likes tea", "two", rewrite=True)

    assert versions(db, content_key("Ada likes tea")) == 2


def test_index_and_ttl_are_passed_on(opened: Any, run: Colour) -> None:
    with FakeClock() as clock:
        db = opened(ttl={"default_ttl": 60})
        say(run, db, {"text": "tea", "secret": "milk"}, index=["text"], ttl=5)
        say(run, db, ("always", "cats"), "two", ttl=None)
        say(run, db, ("hour", "dogs"), "three")
        assert [item.value["text"] for item in db.store.search(ADA, query="tea milk", refresh_ttl=False)] == [
            "tea"
        ]
        assert db.store.search(ADA, query="milk", refresh_ttl=False) == []

        clock.advance(minutes=6)
        assert sorted(item.key for item in db.store.search(ADA, refresh_ttl=False)) == ["always", "hour"]
        clock.advance(minutes=55)
        assert [item.key for item in db.store.search(ADA, refresh_ttl=False)] == ["always"]


def test_saying_it_again_begins_its_time_anew(opened: Any, run: Colour) -> None:
    with FakeClock() as clock:
        db = opened(ttl={"default_ttl": 10})
        say(run, db, "Ada likes tea")
        clock.advance(minutes=8)
        say(run, db, "Ada likes tea", "two")
        clock.advance(minutes=8)

        assert len(db.store.search(ADA, refresh_ttl=False)) == 1
        assert versions(db, content_key("Ada likes tea")) == 1


def test_a_ttl_where_nothing_expires_is_refused(db: Database, run: Colour) -> None:
    with pytest.raises(NotSupported, match="ttl=5"):
        say(run, db, "Ada likes tea", ttl=5)


def test_the_extractor_is_written_like_a_node(db: Database, run: Colour) -> None:
    class Extract:
        def __call__(
            self, state: Chat, runtime: Runtime[Any], *, config: dict[str, Any], store: Any, writer: Any
        ) -> Any:
            writer("looking")
            assert runtime.store is store
            return f"{state['messages'][-1]} says {config['configurable']['user_id']}"

    graph = graph_of(remember(Extract(), namespace=MINE)).compile(db)

    assert run.stream(graph, {"messages": ["tea"]}, of("ada"), stream_mode="custom") == ["looking"]
    assert texts(db.store) == ["tea says ada"]


def test_the_extractor_may_be_a_runnable_or_a_graph(db: Database, run: Colour) -> None:
    class Chain:
        def invoke(self, state: Chat, config: Any = None) -> str:
            return "by a chain, blocking"

        async def ainvoke(self, state: Chat, config: Any = None) -> str:
            return "by a chain, async"

    graph = graph_of(remember(Chain(), namespace=MINE)).compile(db)  # type: ignore[arg-type]
    run.invoke(graph, {"messages": []}, of("ada"))

    assert texts(db.store) == [f"by a chain, {run.name}"]


async def test_the_extractor_may_be_async(db: Database) -> None:
    async def extract(state: Chat) -> list[str]:
        await asyncio.sleep(0)
        return state["messages"]

    graph = graph_of(remember(extract, namespace=MINE)).compile(db)
    await graph.ainvoke({"messages": ["Ada likes tea"]}, of("ada"))

    assert texts(db.store) == ["Ada likes tea"]
    with pytest.raises(TypeError, match="is async, and this is a blocking call"):
        graph.invoke({"messages": ["x"]}, of("ada", "two"))


def test_it_works_over_somebody_else_s_store(run: Colour) -> None:
    store = Foreign()
    graph = graph_of(remember(last, namespace=MINE)).compile(store=store)

    run.invoke(graph, {"messages": ["Ada likes tea"]}, of("ada"))
    first = store.get(ADA, content_key("Ada likes tea"))
    run.invoke(graph, {"messages": ["Ada likes tea"]}, of("ada"))

    assert first is not None
    assert store.inner.history(ADA, first.key, limit=5)[0].version == first.version


@pytest.mark.parametrize(
    "wrong", [5, b"tea", [5], ("a", "b", "c"), [("", "b")], [(1, "b")], [["tea"]], ("a", 5)]
)
def test_what_is_no_fact_is_named_and_nothing_is_written(db: Database, run: Colour, wrong: Any) -> None:
    with pytest.raises(PerdureError, match=r"gave .* which is no fact\. Give None"):
        say(run, db, wrong)
    with pytest.raises(PerdureError):
        say(run, db, ["a good one", wrong], "two")

    assert db.store.count() == 0


def test_a_fact_that_cannot_be_saved_is_named_by_its_path(db: Database, run: Colour) -> None:
    with pytest.raises(EncodingError) as failed:
        say(run, db, {"text": "tea", "at": [object()]})

    assert failed.value.path == "value.at[0]"
    assert db.store.count() == 0


def test_a_key_that_is_none_is_named(db: Database, run: Colour) -> None:
    with pytest.raises(PerdureError, match="key= gave None"):
        say(run, db, "tea", key=lambda fact: None)


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"namespace": ()}, ScopeError),
        ({"namespace": ("a", "")}, InvalidNamespaceError),
        ({"extract": None}, TypeError),
        ({"extract": lambda: None}, TypeError),
    ],
)
def test_what_cannot_be_right_is_refused_when_the_node_is_made(wrong: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        remember(**{"extract": last, "namespace": MINE, **wrong})


def test_it_leaves_the_state_alone(db: Database, run: Colour) -> None:
    assert say(run, db, "Ada likes tea") == {"messages": [], "log": []}


# ---- keys

words = st.lists(st.text(alphabet="ab cé1", min_size=1).filter(str.strip), min_size=1)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(words, st.sampled_from([" ", "\n", "  ", "\t \n"]))
def test_the_amount_of_white_space_does_not_change_a_key(some: list[str], space: str) -> None:
    some = [word for text in some for word in text.split()]

    assert content_key(space.join(some)) == content_key(space + " ".join(some) + space)


@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_the_order_of_fields_does_not_change_a_key(value: dict[str, Any]) -> None:
    assert content_key(value) == content_key(dict(reversed(value.items())))
    assert len(content_key(value)) == 32


def test_what_says_something_else_has_another_key() -> None:
    different = [
        "tea", "Tea", "te a", {"text": ["tea"]}, {"text": "tea", "n": None}, {"n": 1}, {"n": 1.0}, {"n": True}, {"n": "1"},
        {}, {"a": {"b": 1}}, {"a": 1, "b": 1}, {"a": [1, 2]}, {"a": [2, 1]}, "\ud800", "x\u00b2", "x2",
    ]  # fmt: skip

    assert len({content_key(fact) for fact in different}) == len(different)
    assert content_key("cafe\u0301") == content_key("caf\u00e9")
    assert content_key("tea") == content_key({"text": "tea"})
