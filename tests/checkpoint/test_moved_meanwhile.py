"""A thread that is replaced, restored or pruned behind one's back: noticed, nothing lost, every checkpoint readable."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest

from databases import KINDS
from perdure import Database, connect
from perdure.checkpoint import face
from perdure.checkpoint.copying import copy_commit
from perdure.checkpoint.removal import removal_commit
from perdure.engine.sending import Sender
from perdure.errors import StaleThread
from perdure.graph import START, StateGraph
from perdure.storage.contract import Commit, RemoveThread

T: Any = {"configurable": {"thread_id": "t"}}


class State(TypedDict, total=False):
    text: str
    log: Annotated[list[str], operator.add]


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Database]:
    with connect(url_of(request.param)) as opened:
        yield opened


def long(seed: int) -> str:
    """Text that is too long for a checkpoint's own row, compressed or not."""
    return random.Random(seed).randbytes(2000).hex()


def graph_of(db: Database, before: Callable[[State], object] = lambda state: None) -> Any:
    def node(state: State) -> State:
        before(state)
        return {"log": [long(len(state["log"]))], "text": long(-len(state["log"]))}

    return StateGraph(State).add_node("n", node).add_edge(START, "n").compile(db)


def run(graph: Any, durability: str = "sync") -> Any:
    return graph.invoke({"log": [long(1000)]}, T, durability=durability)


def commit(db: Database, made: Commit | None) -> None:
    """As another process does it: past the objects of this one."""
    assert made is not None
    db.backend.commit(made)


def restore(db: Database) -> None:
    """The thread goes, and comes back from a copy under the same ids."""
    pieces = db.checkpointer.__perdure_backend__.pieces
    commit(db, Commit(b"1" * 16, 1))  # behind what the run has on its way
    with db.backend.read() as now:
        commit(db, copy_commit(now, pieces, "t", "backup"))
    commit(db, Commit(b"0" * 16, 1, removals=[RemoveThread("t")]))
    with db.backend.read() as now:
        commit(db, copy_commit(now, pieces, "backup", "t"))


def once(act: Callable[[], object]) -> Callable[[], None]:
    """`act` the first time, nothing afterwards."""
    due = [True]

    def acts() -> None:
        if due:
            due.clear()
            act()

    return acts


def readable(db: Database, items: int) -> None:
    graph = graph_of(db)
    assert len(graph.get_state(T).values["log"]) == items
    assert all(len(each.values.get("log", [])) <= items for each in graph.get_state_history(T))
    assert len(run(graph)["log"]) == items + 2


def test_a_restored_thread_is_read_anew(db: Database) -> None:
    graph = graph_of(db)
    run(graph)
    run(graph)

    restore(db)
    assert len(run(graph)["log"]) == 6

    readable(db, 6)


@pytest.mark.parametrize("durability", ["sync", "async"])
def test_a_thread_that_is_restored_under_a_run_ends_that_run(db: Database, durability: str) -> None:
    run(graph_of(db))
    restores = once(lambda: restore(db))

    with pytest.raises(StaleThread, match="put anew"):
        run(graph_of(db, lambda state: restores()), durability)

    assert graph_of(db).get_state(T).next == ("n",)  # the input was committed before, and is in the copy
    readable(db, 3)


def test_a_head_that_was_put_anew_is_not_reverted(db: Database) -> None:
    graph = graph_of(db)
    run(graph)
    found = db.checkpointer.get_tuple(T)
    assert found is not None
    checkpoint: Any = {**found.checkpoint, "channel_values": {"log": ["other"], "text": "t"}}
    version = max(found.checkpoint["channel_versions"].values())
    versions = dict.fromkeys(found.checkpoint["channel_versions"], version + 1)
    checkpoint["channel_versions"] = versions
    kept = dict(face.HEADS._heads)

    db.checkpointer.put(found.parent_config or T, checkpoint, found.metadata, versions)
    face.HEADS._heads.update(kept)  # another process put it: this one has not heard of it

    assert graph.get_state(T).values["log"] == ["other"]
    assert run(graph)["log"][:1] == ["other"]
    assert next(iter(graph.get_state_history(T))).values["log"][:1] == ["other"]


def test_a_branch_from_a_checkpoint_that_is_pruned_meanwhile_is_refused(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(db)
    for _ in range(3):
        run(graph)
    old = [each for each in graph.get_state_history(T) if not each.next][-1]
    send, prune = Sender.send, once(lambda: db.checkpointer.prune(["t"]))

    async def prunes_first(self: Sender, *arguments: Any) -> None:
        prune()
        await send(self, *arguments)

    monkeypatch.setattr(Sender, "send", prunes_first)
    with pytest.raises(ValueError, match="has no checkpoint"):  # tried again, and found gone
        graph.update_state(old.config, {"log": ["fork"]}, as_node="n")

    readable(db, 6)


def test_a_checkpoint_put_by_hand_on_one_that_is_pruned_meanwhile_stands_alone(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(db)
    for _ in range(3):
        run(graph)
    old = [each for each in db.checkpointer.list(T) if each.metadata["step"] == 1][-1]
    put_commit, prune = face.put_commit, once(lambda: db.checkpointer.prune(["t"]))

    def prunes_first(*given: Any, **named: Any) -> Commit:
        made = put_commit(*given, **named)
        prune()
        return made

    monkeypatch.setattr(face, "put_commit", prunes_first)
    copy: Any = {**old.checkpoint, "id": old.checkpoint["id"][:-1] + "f"}
    db.checkpointer.put(old.config, copy, {"source": "fork", "step": 9}, {})

    assert len(graph.get_state(T).values["log"]) == 6
    assert len(list(db.checkpointer.list(T))) == 2


def test_pruning_does_not_take_away_what_is_put_meanwhile(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = graph_of(db)
    for _ in range(3):
        run(graph)
    old = [each for each in db.checkpointer.list(T) if each.metadata["step"] == 1][-1]
    copy: Any = {**old.checkpoint, "id": old.checkpoint["id"][:-1] + "f"}
    put = once(lambda: db.checkpointer.put(old.config, copy, {"source": "fork", "step": 9}, {}))

    def puts_meanwhile(*given: Any) -> Commit | None:
        made = removal_commit(*given)
        put()
        return made

    monkeypatch.setattr(face, "removal_commit", puts_meanwhile)
    db.checkpointer.prune(["t"])

    assert all(found.checkpoint["channel_values"] for found in db.checkpointer.list(T))
    readable(db, 6)


def test_pruning_keeps_revisions_and_takes_the_runs_that_nobody_shows_any_more(db: Database) -> None:
    graph = graph_of(db)
    for number in range(3):
        graph.invoke({"log": ["a"]}, {**T, "metadata": {"number": number}})
    with db.backend.read() as now:
        before = {row.id: row.revision for row in now.checkpoints("t", "", None, None)}

    db.checkpointer.prune(["t"])

    with db.backend.read() as now:
        rows = now.checkpoints("t", "", None, None)
        assert {row.id: row.revision for row in rows} == {row.id: before[row.id] for row in rows}
        assert now.count("runs") == 1
    assert [each.metadata["number"] for each in graph.get_state_history(T)] == [2]
