"""The past of memory that graphs write: who wrote it, memory as of a checkpoint, taking back a bad run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from databases import KINDS
from perdure import connect
from perdure.checkpoint.memory import InMemorySaver
from perdure.database import Database
from perdure.errors import PerdureError, QueryError
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.store.memory import InMemoryStore
from perdure.store.past import Origin
from perdure.testing.faulty import Faulty, Killed, Moment

NOTES = ("notes",)


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Database]:
    with connect(url_of(request.param)) as opened:
        yield opened


def learns(facts: dict[str, Any]) -> Any:
    """A node that puts each fact."""

    def learn(state: dict[str, Any], runtime: Runtime[Any]) -> None:
        for key, fact in facts.items():
            assert runtime.store is not None
            if fact is None:
                runtime.store.delete(NOTES, key)
            else:
                runtime.store.put(NOTES, key, {"fact": fact})

    return learn


def graph_of(db: Database, *facts: dict[str, Any]) -> Any:
    """A graph whose nodes n0, n1 ... learn these facts, one a step."""
    drawing: Any = StateGraph(dict)
    before = START
    for number, some in enumerate(facts):
        drawing.add_node(f"n{number}", learns(some)).add_edge(before, f"n{number}")
        before = f"n{number}"
    return drawing.compile(db)


def run(db: Database, thread: str, *facts: dict[str, Any], durability: Any = None) -> str:
    """The id of a run in which these facts were learned."""
    id = uuid.uuid4()
    config = {"configurable": {"thread_id": thread}, "run_id": id}
    graph_of(db, *facts).invoke({"x": 1}, config, durability=durability)
    return str(id)


def facts_of(store: Any) -> dict[str, Any]:
    return {item.key: item.value["fact"] for item in store.search(NOTES, limit=100)}


def test_a_version_knows_thread_checkpoint_and_node(db: Database) -> None:
    run(db, "t", {"tea": "green"}, {"tea": "black"})

    second, first = db.store.history(NOTES, "tea")

    assert (first.origin.thread, first.origin.node) == ("t", "n0")
    assert (second.origin.thread, second.origin.node) == ("t", "n1")
    graph = graph_of(db, {}, {})
    config: Any = {"configurable": {"thread_id": "t", "checkpoint_id": second.origin.checkpoint}}
    assert graph.get_state(config).next == ("n1",)
    blame = db.store.blame(NOTES, "tea")
    assert blame is not None
    assert blame.version == blame.fields["fact"] == second


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
def test_a_checkpoint_shows_memory_as_its_next_step_found_it(db: Database, durability: Any) -> None:
    db.store.put(NOTES, "before", {"fact": 0})
    run(db, "t", {"a": 1}, {"a": 2, "b": 2}, {"b": None}, durability=durability)
    db.store.put(NOTES, "after", {"fact": 9})

    states = list(graph_of(db, {}, {}, {}).get_state_history({"configurable": {"thread_id": "t"}}))
    seen = {state.next: facts_of(db.store.at(state.config)) for state in states}

    expected = {
        (): {"before": 0, "a": 2},
        ("n2",): {"before": 0, "a": 2, "b": 2},
        ("n1",): {"before": 0, "a": 1},
        ("n0",): {"before": 0},
    }
    assert {next: seen[next] for next in expected if next in seen} == {
        next: expected[next] for next in expected if next in seen
    }
    assert () in seen
    if durability != "exit":
        assert set(expected) <= set(seen)
    assert facts_of(db.store.at({"configurable": {"thread_id": "t"}})) == expected[()]


def test_a_checkpoint_of_another_database_is_no_moment() -> None:
    store = InMemoryStore()
    drawing: Any = StateGraph(dict)
    drawing.add_node("n0", learns({"a": 1})).add_edge(START, "n0")
    graph = drawing.compile(checkpointer=InMemorySaver(), store=store)
    config = {"configurable": {"thread_id": "t"}}
    graph.invoke({"x": 1}, config)

    with pytest.raises(QueryError, match=r"perdure\.connect"):
        store.at(graph.get_state(config).config)


def test_what_a_bad_run_taught_is_taken_back(db: Database) -> None:
    run(db, "t", {"tea": "green", "cake": "apple"})
    good = facts_of(db.store)
    bad = run(db, "t", {"tea": "poison", "new": 1}, {"cake": None, "tea": "worse"})
    db.store.put(NOTES, "mine", {"fact": 1})

    report = db.store.revert(run=bad)

    assert facts_of(db.store) == {**good, "mine": 1}
    assert {(d.kind, d.key) for d in report.items} == {
        ("changed", "tea"),
        ("added", "cake"),
        ("removed", "new"),
    }
    assert report.conflicts == ()
    again = db.store.revert(run=bad, thread="t")
    assert (again.revision, again.items, again.conflicts) == (None, (), ())


def test_a_later_write_by_somebody_else_is_reported_and_stands(db: Database) -> None:
    db.store.put(NOTES, "tea", {"fact": "green"})
    bad = run(db, "t", {"tea": "poison", "cake": "poison", "pie": "poison"})
    db.store.put(NOTES, "tea", {"fact": "black"})
    run(db, "u", {"cake": None})

    report = db.store.revert(run=bad)

    assert facts_of(db.store) == {"tea": "black"}
    assert [d.key for d in report.items] == ["pie"]
    conflicts = {conflict.key: conflict for conflict in report.conflicts}
    assert set(conflicts) == {"tea"}  # that somebody deleted the new one is just what it takes
    later = conflicts["tea"].later
    assert conflicts["tea"].reason == "written later"
    assert later is not None
    assert (later.value, later.origin) == ({"fact": "black"}, Origin())


def test_a_thread_is_taken_back_whole_or_since(db: Database) -> None:
    run(db, "t", {"a": 1})
    run(db, "u", {"b": 1})
    item = db.store.get(NOTES, "b")
    assert item is not None
    run(db, "t", {"a": 2, "c": 2})
    run(db, "u", {"b": 2})

    db.store.revert(thread="t", since=item.revision)
    assert facts_of(db.store) == {"a": 1, "b": 2}
    db.store.revert(thread="t")
    assert facts_of(db.store) == {"b": 2}
    assert db.store.revert(thread="nobody").items == ()


def test_between_writes_of_others_only_the_newest_stretch_is_taken_back(db: Database) -> None:
    run(db, "t", {"a": "bad"})
    db.store.put(NOTES, "a", {"fact": "good"})
    run(db, "t", {"a": "bad again"})

    report = db.store.revert(thread="t")

    assert facts_of(db.store) == {"a": "good"}
    assert [(c.key, c.reason) for c in report.conflicts] == [("a", "written later")]  # it lies over the first


def test_a_run_that_nobody_knows_is_refused(db: Database) -> None:
    run(db, "t", {"a": 1})

    with pytest.raises(QueryError, match="no checkpoint of run"):
        db.store.revert(run=uuid.uuid4())
    with pytest.raises(QueryError, match="on thread 'u'"):
        db.store.revert(run="r", thread="u")
    assert facts_of(db.store) == {"a": 1}


def test_inside_a_task_the_past_is_what_is_committed(db: Database) -> None:
    db.store.put(NOTES, "a", {"fact": 1})
    item = db.store.get(NOTES, "a")
    assert item is not None
    seen: list[Any] = []

    def node(state: dict[str, Any], runtime: Runtime[Any]) -> None:
        store: Any = runtime.store
        store.put(NOTES, "a", {"fact": 2})
        for asked in (store, db.store):
            seen.append([version.value for version in asked.history(NOTES, "a")])
            seen.append(asked.diff(item.revision))
            seen.append(facts_of(asked.at(item.revision)))
            seen.append(asked.blame(NOTES, "a").version.value)
            with pytest.raises(PerdureError, match=r"node 'node'.*Nothing was written"):
                asked.revert(thread="t")

    drawing: Any = StateGraph(dict)
    drawing.add_node("node", node).add_edge(START, "node")
    drawing.compile(db).invoke({"x": 1}, {"configurable": {"thread_id": "t"}})

    assert seen == [[{"fact": 1}], [], {"a": 1}, {"fact": 1}] * 2
    assert facts_of(db.store) == {"a": 2}


@pytest.mark.parametrize("moment", Faulty.moments_of(1), ids=str)
def test_taking_back_is_one_commit(db: Database, moment: Moment) -> None:
    db.store.put(NOTES, "a", {"fact": "good"})
    bad = run(db, "t", *({"a": n, f"b{n}": n} for n in range(5)))
    taught = facts_of(db.store)
    whole = db.backend
    counting = Faulty(whole)

    dying = Database("faulty", Faulty(whole, moment, "die"), cipher=None, keep_history=db.keep_history)
    with pytest.raises(Killed):
        dying.store.revert(run=bad)

    assert facts_of(db.store) == (taught if moment.when == "before" else {"a": "good"})
    Database("counted", counting, cipher=None, keep_history=db.keep_history).store.revert(run=bad)
    assert counting.commits == (1 if moment.when == "before" else 0)
    assert facts_of(db.store) == {"a": "good"}


def test_a_write_that_comes_between_is_not_overwritten(db: Database) -> None:
    bad = run(db, "t", {"a": "bad", "b": "bad"})

    class Between(Faulty):
        """Somebody writes just before the first commit."""

        def commit(self, commit: Any, /) -> Any:
            if self.commits == 0:
                db.store.put(NOTES, "a", {"fact": "mine"})
            return super().commit(commit)

    slow = Database("slow", Between(db.backend), cipher=None, keep_history=db.keep_history)
    report = slow.store.revert(run=bad)

    assert facts_of(db.store) == {"a": "mine"}
    assert [d.key for d in report.items] == ["b"]
    assert [conflict.key for conflict in report.conflicts] == ["a"]


def test_an_encrypted_past_is_read_and_taken_back(tmp_path: Path) -> None:
    with connect(f"sqlite:///{tmp_path}/sealed.db", encryption=b"k" * 32) as db:
        db.store.put(NOTES, "a", {"fact": "good"})
        item = db.store.get(NOTES, "a")
        assert item is not None
        bad = run(db, "t", {"a": "bad"})

        assert facts_of(db.store.at(str(item.revision))) == {"a": "good"}
        assert [d.after for d in db.store.diff(str(item.revision))] == [{"fact": "bad"}]
        db.store.revert(run=bad)
        assert facts_of(db.store) == {"a": "good"}
