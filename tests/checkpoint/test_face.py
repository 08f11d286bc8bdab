"""What savers of ours promise beyond the interface: any checkpoint by hand, branches, upkeep, sharing a database."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated, Any, TypedDict

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from checkpoint.conftest import opened
from perdure.checkpoint.base import CheckpointTuple, empty_checkpoint
from perdure.checkpoint.face import BackendSaver, ours
from perdure.checkpoint.memory import InMemorySaver
from perdure.checkpoint.sqlite import SqliteSaver
from perdure.errors import EncodingError, StorageError
from perdure.graph import END, START, StateGraph
from perdure.storage.contract import SegmentRow
from perdure.storage.deltas import APPEND, FROM
from perdure.testing.savers import chain, checkpoint_with, config_of, found, id_of, metadata


def put(saver: BackendSaver, config: Any, version: Any, value: Any, **more: Any) -> dict[str, Any]:
    return saver.put(config, checkpoint_with({"c": version}, c=value), metadata(**more), {"c": version})


def value_of(saver: BackendSaver, config: Any) -> Any:
    return found(saver, config).checkpoint["channel_values"]["c"]


def segments(saver: BackendSaver, thread: str = "t") -> list[SegmentRow]:
    handle = saver.__perdure_backend__
    assert handle is not None
    with handle.backend.read() as snapshot:
        return [row for log, _ in snapshot.logs(thread) for row in snapshot.segments(thread, log, 1 << 32)]


# ---- any checkpoint by hand


def test_a_list_that_grows_by_hand_costs_what_was_appended(saver: BackendSaver) -> None:
    at = config_of()
    log: list[str] = []

    for turn in range(20):
        log.append(f"{turn:03d}" * 60)
        at = put(saver, at, turn + 1, log)

    assert [row.kind for row in segments(saver)] == [APPEND] * 20
    assert [row.count for row in segments(saver)] == [1] * 20


@pytest.mark.parametrize("new", [{}, {"c": 2}], ids=["not new", "new"])
@pytest.mark.parametrize("value", ["short", ["long" * 100]])
def test_a_version_without_its_value_does_not_get_another_version_s(
    saver: BackendSaver, new: Any, value: Any
) -> None:
    first = put(saver, config_of(), 1, value)

    second = saver.put(first, checkpoint_with({"c": 2}), metadata(), new)

    at = found(saver, second).checkpoint
    assert (at["channel_values"], at["channel_versions"]) == ({}, {"c": 2})
    assert value_of(saver, first) == value


@pytest.mark.parametrize("new", [{}, {"c": 1}], ids=["not new", "new"])
@pytest.mark.parametrize("value", ["short", ["long" * 100]])
def test_a_version_that_the_parent_has_keeps_its_value(saver: BackendSaver, new: Any, value: Any) -> None:
    first = put(saver, config_of(), 1, value)

    second = saver.put(first, checkpoint_with({"c": 1}), metadata(), new)

    assert value_of(saver, second) == value


@pytest.mark.parametrize("value", ["short", ["long" * 100]])
def test_a_value_given_for_a_version_the_parent_lacks_is_saved(saver: BackendSaver, value: Any) -> None:
    first = put(saver, config_of(), 1, ["before"])

    second = saver.put(first, checkpoint_with({"c": 2, "d": 1}, c=value, d="d"), metadata(), {})

    assert found(saver, second).checkpoint["channel_values"] == {"c": value, "d": "d"}


def test_a_value_given_late_for_a_version_is_saved(saver: BackendSaver) -> None:
    first = saver.put(config_of(), checkpoint_with({"c": 1}), metadata(), {"c": 1})

    second = saver.put(first, checkpoint_with({"c": 1}, c="late"), metadata(), {})

    assert value_of(saver, second) == "late"


def test_a_put_from_an_older_checkpoint_leaves_both_branches_whole(saver: BackendSaver) -> None:
    first = put(saver, config_of(), 1, ["a" * 100])
    put(saver, first, 2, ["a" * 100, "left"])
    right = put(saver, first, 2, ["a" * 100, "right"])

    assert [row.kind for row in segments(saver)].count(FROM) == 1
    assert value_of(saver, right) == ["a" * 100, "right"]


def test_an_id_below_its_parents_does_not_spoil_the_parents_log(saver: BackendSaver) -> None:
    state = checkpoint_with({"c": 1}, c=["a" * 100])
    state["id"] = "5"
    parent = saver.put(config_of(), state, metadata(), {"c": 1})
    below = checkpoint_with({"c": 2}, c=["a" * 100, "low"])
    below["id"] = "4"
    low = saver.put(parent, below, metadata(), {"c": 2})
    above = checkpoint_with({"c": 2}, c=["a" * 100, "high"])
    above["id"] = "6"
    high = saver.put(parent, above, metadata(), {"c": 2})

    assert [value_of(saver, at) for at in (low, high)] == [["a" * 100, "low"], ["a" * 100, "high"]]


def test_an_id_between_two_others_changes_no_parent(saver: BackendSaver) -> None:
    def named(id: str, parent: str | None) -> None:
        state = checkpoint_with({})
        state["id"] = id
        saver.put(config_of(id=parent), state, metadata(), {})

    named("1", None)
    named("3", "1")
    named("2", "1")
    named("0", None)

    parents = {at.checkpoint["id"]: at.parent_config for at in saver.list(config_of())}
    assert [id for id, parent in parents.items() if parent is None] == ["1", "0"]
    assert [id_of(parents[id]) for id in ("3", "2")] == ["1", "1"]


def test_odd_names_ids_and_keys_come_back(saver: BackendSaver) -> None:
    state = checkpoint_with(
        {"c\ud800\0": "v\udfff", "ü|:": 1.5}, **{"c\ud800\0": "x\ud800", "ü|:": "é" * 100}
    )
    state["id"] = "an id | of : mine\0"
    state["versions_seen"] = {"n\ud800": {"c\ud800\0": "v\udfff"}}
    state["updated_channels"] = ["c\ud800\0"]

    config = saver.put(config_of(ns="a:b|c\ud800"), state, metadata(), {"c\ud800\0": "v\udfff", "ü|:": 1.5})
    saver.put_writes(config, [("w\ud800", "\0")], "task\ud800", "path\0")
    at = found(saver, config)

    for key in ("id", "channel_values", "channel_versions", "versions_seen", "updated_channels"):
        assert at.checkpoint[key] == state[key], key
    assert at.pending_writes == [("task\ud800", "w\ud800", "\0")]
    assert [each.checkpoint["id"] for each in saver.list(None)] == [state["id"]]


def test_what_a_checkpoint_has_besides_is_kept(saver: BackendSaver) -> None:
    state: Any = {
        **empty_checkpoint(),
        "v": 1,
        "ts": "yesterday",
        "pending_sends": [["n", 1]],
        "updated_channels": None,
    }

    config = saver.put(config_of(), state, {}, {})

    assert found(saver, config).checkpoint == state
    assert found(saver, config).metadata == {}


def test_a_checkpoint_put_again_is_replaced_and_its_children_stay(saver: BackendSaver) -> None:
    app = appending(saver)
    app.invoke({"log": ["in"]}, config_of())
    before = {id_of(at.config): at.checkpoint["channel_values"] for at in saver.list(config_of())}
    middle = [*saver.list(config_of())][1]
    changed = dict(middle.checkpoint)
    changed["channel_values"] = {"log": ["other"]}
    changed["channel_versions"] = {"log": 77}

    saver.put(middle.parent_config or {}, changed, middle.metadata, {"log": 77})  # type: ignore[arg-type] - as read

    after = {id_of(at.config): at.checkpoint["channel_values"] for at in saver.list(config_of())}
    assert after.pop(id_of(middle.config)) == {"log": ["other"]}
    del before[id_of(middle.config)]
    assert after == before


@pytest.mark.parametrize(
    ("key", "value"),
    [("source", None), ("source", 3), ("step", None), ("step", "one"), ("step", 2**80), ("parents", None)],
)
def test_metadata_may_be_of_other_types_than_a_graph_writes(
    saver: BackendSaver, key: str, value: Any
) -> None:
    given: Any = {**metadata(4), key: value}

    config = saver.put(config_of(), checkpoint_with({}), given, {})

    wanted = str(value) if value == 2**80 else value
    assert found(saver, config).metadata == {**metadata(4), key: wanted}


@pytest.mark.fact(137)
def test_metadata_lose_nul_characters(saver: BackendSaver) -> None:
    config = saver.put(config_of(), checkpoint_with({}), metadata(note="a\0b", deep={"x": ["c\0"]}), {})

    assert found(saver, config).metadata.get("note") == "ab"
    assert found(saver, config).metadata.get("deep") == {"x": ["c"]}


def test_metadata_that_cannot_be_saved_name_their_path(saver: BackendSaver) -> None:
    with pytest.raises(EncodingError, match=r"metadata\.deep\[1\]"):
        saver.put(config_of(), checkpoint_with({}), metadata(deep=[1, object()]), {})

    assert saver.get_tuple(config_of()) is None


@pytest.mark.fact(20)
def test_thread_ids_of_any_kind_count_as_their_text(saver: BackendSaver) -> None:
    config = saver.put({"configurable": {"thread_id": 7}}, checkpoint_with({}), metadata(), {})

    assert config["configurable"]["thread_id"] == "7"
    assert saver.get_tuple(config_of("7")) is not None


@pytest.mark.parametrize(
    "bad", [{}, {"configurable": {}}, config_of(""), config_of("a\0b"), config_of("\ud800")]
)
def test_a_thread_id_that_cannot_be_is_an_error(saver: BackendSaver, bad: Any) -> None:
    with pytest.raises(ValueError, match="thread_id"):
        saver.put(bad, checkpoint_with({}), metadata(), {})
    with pytest.raises(ValueError, match="thread_id"):
        saver.get_tuple(bad)


def test_writes_need_a_checkpoint(saver: BackendSaver) -> None:
    with pytest.raises(ValueError, match="checkpoint_id"):
        saver.put_writes(config_of(), [("a", 1)], "task")


@pytest.mark.parametrize("key", ["a b", "a'; DROP TABLE x; --", "", "a\0", "é"])
def test_a_filter_key_of_other_characters_is_refused(saver: BackendSaver, key: str) -> None:
    with pytest.raises(ValueError, match="Invalid filter key"):
        [*saver.list(None, filter={key: 1})]


def test_checkpoints_that_share_an_id_are_all_listed_across_pages(saver: BackendSaver) -> None:
    chain(saver, 3)
    for number in range(30):
        saver.copy_thread("t", f"copy{number:02d}")

    every = [(at.config["configurable"]["thread_id"], id_of(at.config)) for at in saver.list(None)]

    assert len(every) == len(set(every)) == 93
    assert [id for _, id in every] == sorted((id for _, id in every), reverse=True)


def test_puts_at_once_from_one_checkpoint_all_stand(saver: BackendSaver) -> None:
    base = put(saver, config_of(), 1, ["x" * 100])
    made: list[tuple[Any, Any]] = []

    def one(number: int) -> None:
        at, log = base, ["x" * 100]
        for step in range(4):
            log = [*log, f"{number}.{step}"]
            at = put(saver, at, step + 2, log)
            made.append((at, log))

    workers = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert len(made) == 32
    for at, log in made:
        assert value_of(saver, at) == log


def test_versions_of_a_thread_go_on_in_their_kind() -> None:
    saver = InMemorySaver()
    text = f"{41:032d}.0.123"

    after = saver.get_next_version(text, None)

    assert saver.get_next_version(None, None) == 1
    assert saver.get_next_version(1, None) == 2
    assert saver.get_next_version(1.5, None) == 2.5
    assert after > text
    assert after.startswith(f"{42:032d}.")
    with pytest.raises(NotImplementedError, match="not a number"):
        saver.get_next_version("not a number", None)


# ---- whose it is


class Mine(InMemorySaver):
    """Somebody's own: it wants to be called."""

    def put(self, *args: Any, **kwargs: Any) -> Any:
        return super().put(*args, **kwargs)


class Named(InMemorySaver):
    """Overrides nothing that the engine bypasses."""

    def hello(self) -> str:
        return "hello"


def test_a_subclass_with_methods_of_its_own_is_somebody_elses() -> None:
    assert ours(InMemorySaver()) is not None
    assert ours(Named()) is not None
    assert ours(Mine()) is None
    assert Mine().__perdure_backend__ is None
    assert ours(object()) is None


def test_a_closed_saver_says_so(tmp_path: Path) -> None:
    with SqliteSaver.from_conn_string(str(tmp_path / "a.db")) as saver:
        chain(saver, 1)
    saver.close()

    with pytest.raises(StorageError, match="closed"):
        saver.get_tuple(config_of())
    assert "closed" in repr(saver)


def test_a_saver_in_memory_can_be_looked_at_after_its_block() -> None:
    with InMemorySaver() as saver:
        chain(saver, 1)

    assert saver.get_tuple(config_of()) is not None


def test_with_allowlist_is_a_saver_over_the_same_data(saver: BackendSaver) -> None:
    class Unseen: ...

    chain(saver, 1)
    wider = saver.with_allowlist([("some", "Type"), Unseen])

    assert wider.get_tuple(config_of()) == saver.get_tuple(config_of())
    wider.close()
    assert saver.get_tuple(config_of()) is not None or saver._closed is False


def test_data_written_through_a_serializer_is_not_read_without_it() -> None:
    from perdure.checkpoint.serde.jsonplus import JsonPlusSerializer

    plain = InMemorySaver()
    handle = plain.__perdure_backend__
    assert handle is not None
    through = InMemorySaver(serde=JsonPlusSerializer(), backend=handle.backend)  # type: ignore[arg-type] - a MemoryBackend
    put(through, config_of("a"), 1, "x")
    put(plain, config_of("b"), 1, "x")

    with pytest.raises(EncodingError):
        plain.get_tuple(config_of("a"))
    with pytest.raises(EncodingError):
        through.get_tuple(config_of("b"))


class Upper:
    """A lossy serializer of a user's: keys of dicts become text."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        import json

        return "json", json.dumps(obj).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        import json

        return json.loads(data[1])


def test_a_serializer_that_changes_keys_gets_whole_values() -> None:
    saver = InMemorySaver(serde=Upper())
    book: dict[Any, Any] = dict.fromkeys(range(20), "v" * 40)
    at = put(saver, config_of(), 1, book)
    for step in range(3):
        book = {n: text for n, text in book.items() if n != step}
        at = put(saver, at, step + 2, book)

    assert value_of(saver, at) == {str(n): "v" * 40 for n in range(3, 20)}


# ---- threads that a graph wrote


class State(TypedDict):
    log: Annotated[list[Any], lambda old, new: old + new]


def appending(saver: BackendSaver) -> Any:
    def work(state: State) -> dict[str, Any]:
        return {"log": [f"{len(state['log']):03d}" * 50]}

    graph = StateGraph(State)
    graph.add_node("work", work)
    graph.add_node("more", work)
    graph.add_edge(START, "work")
    graph.add_edge("work", "more")
    graph.add_edge("more", END)
    return graph.compile(checkpointer=saver)


def in_run(run: str, thread: str = "t") -> dict[str, Any]:
    return {"configurable": {"thread_id": thread}, "run_id": run}


def test_finished_tasks_show_what_they_wrote(saver: BackendSaver) -> None:
    appending(saver).invoke({"log": ["in"]}, config_of())

    newest, after_first, after_input, _ = saver.list(config_of())

    assert newest.pending_writes == []
    assert [write[1:] for write in after_first.pending_writes or ()] == [("log", ["002" * 50])]
    assert [write[1:] for write in after_input.pending_writes or ()] == [("log", ["001" * 50])]


@pytest.mark.fact(83)
def test_a_run_s_own_keys_are_metadata_of_all_its_checkpoints(saver: BackendSaver) -> None:
    config = {"configurable": {"thread_id": "t", "user": "ada", "level": 3, "__own": "x", "deep": {"a": 1}}}
    appending(saver).invoke({"log": ["in"]}, config)
    appending(saver).invoke({"log": ["in"]}, config_of("other"))

    mine = [*saver.list(None, filter={"user": "ada", "level": 3})]

    assert len(mine) == 4
    assert all(at.metadata.keys().isdisjoint({"__own", "deep"}) for at in mine)


def test_runs_can_be_taken_out_of_a_graph_s_thread(saver: BackendSaver) -> None:
    app = appending(saver)
    for number in range(14):
        app.invoke({"log": [f"in{number}"]}, in_run(f"r{number % 3}"))
    before = {id_of(at.config): at for at in saver.list(config_of())}

    saver.delete_for_runs(["r0", "r1"])

    after = {id_of(at.config): at for at in saver.list(config_of())}
    assert {at.metadata.get("run_id") for at in after.values()} == {"r2"}
    assert len(after) == 16
    for id, at in after.items():
        assert at.checkpoint == before[id].checkpoint
        assert at.metadata == before[id].metadata
    last = found(saver, config_of()).checkpoint["channel_values"]["log"]
    state = app.invoke({"log": ["on"]}, config_of())
    assert state["log"][:-2] == [*last, "on"]


def test_a_pruned_graph_s_thread_goes_on_and_is_small(saver: BackendSaver) -> None:
    app = appending(saver)
    for number in range(12):
        app.invoke({"log": [f"in{number}"]}, config_of())
    values = found(saver, config_of()).checkpoint["channel_values"]

    saver.prune(["t"])

    (at,) = saver.list(config_of())
    assert at.checkpoint["channel_values"] == values
    assert {row.kind for row in segments(saver)} == {APPEND}
    assert app.invoke({"log": ["on"]}, config_of())["log"][:-2] == [*values["log"], "on"]


def test_a_thread_that_was_deleted_and_copied_anew_is_read_anew(saver: BackendSaver) -> None:
    app = appending(saver)
    app.invoke({"log": ["first"]}, config_of("a"))
    saver.copy_thread("a", "b")
    app.invoke({"log": ["second"]}, config_of("b"))
    saver.delete_thread("b")
    saver.copy_thread("a", "b")

    state = app.invoke({"log": ["third"]}, config_of("b"))

    assert [entry for entry in state["log"] if not entry[0].isdigit()] == ["first", "third"]


def test_copying_onto_a_thread_that_is_there_is_refused(saver: BackendSaver) -> None:
    chain(saver, 2)
    chain(saver, 1, thread="other")

    with pytest.raises(ValueError, match="'other' has checkpoints already"):
        saver.copy_thread("t", "other")

    assert len([*saver.list(config_of("other"))]) == 1


def test_an_unknown_strategy_of_pruning_is_refused(saver: BackendSaver) -> None:
    with pytest.raises(ValueError, match="keep_latest"):
        saver.prune(["t"], strategy="keep_some")


@pytest.mark.fact(86)
def test_a_deleted_thread_has_an_empty_state(saver: BackendSaver) -> None:
    app = appending(saver)
    app.invoke({"log": ["in"]}, config_of())

    saver.delete_thread("t")

    assert app.get_state(config_of()).values == {}
    assert [*app.get_state_history(config_of())] == []


@pytest.mark.fact(152)
async def test_blocking_methods_work_on_an_event_loops_own_thread(saver: BackendSaver) -> None:
    (config,) = chain(saver, 1)

    assert saver.get_tuple(config) == await saver.aget_tuple(config)


def test_a_run_taken_out_of_the_middle_of_a_sealed_log_leaves_a_head_that_goes_on(
    saver: BackendSaver,
) -> None:
    at, log = config_of(), ["x" * 100]
    made: list[Any] = []
    for step in range(150):
        log = [*log, f"{step}"]
        run = "keep" if step < 100 else "go"
        at = saver.put(at, checkpoint_with({"c": step}, c=log), metadata(step, run_id=run), {"c": step})
        made.append(at)
    assert len(segments(saver)) < 100

    saver.delete_for_runs(["go"])
    after = put(saver, made[99], 100, ["x" * 100, *(f"{step}" for step in range(100)), "on"])

    assert value_of(saver, after) == ["x" * 100, *(f"{step}" for step in range(100)), "on"]
    assert value_of(saver, made[50]) == ["x" * 100, *(f"{step}" for step in range(51))]


# ---- all of it, at random


class Model:
    """A thread as plain dicts: checkpoint id -> (parent, value, version, run, writes)."""

    def __init__(self) -> None:
        self.threads: dict[str, dict[str, tuple[str | None, Any, int, str, list[Any]]]] = {}

    def of(self, thread: str) -> dict[str, tuple[str | None, Any, int, str, list[Any]]]:
        return self.threads.setdefault(thread, {})


class SaverMachine(RuleBasedStateMachine):
    """Whatever is put, forked, pruned, copied or removed: every checkpoint that stays reads as it was put."""

    kind = "memory"

    @initialize()
    def begin(self) -> None:
        self.opening = opened(self.kind, Path("."), str)  # none of Postgres: it needs a fixture
        self.saver = self.opening.__enter__()
        self.model = Model()
        self.last = 0

    def teardown(self) -> None:
        if hasattr(self, "opening"):
            self.opening.__exit__(None, None, None)

    threads = st.sampled_from(["a", "b"])
    runs = st.sampled_from(["r1", "r2", "r3"])
    pick = st.integers(0, 50)

    @rule(
        thread=threads,
        pick=pick,
        run=runs,
        how=st.sampled_from(["append", "set", "drop", "same", "dict", "missing"]),
    )
    def put(self, thread: str, pick: int, run: str, how: str) -> None:
        known = self.model.of(thread)
        ids = sorted(known)
        # Most often the newest; else any.
        parent = None if not ids else ids[-1] if pick < 30 else ids[pick % len(ids)]
        before, version = (known[parent][1], known[parent][2]) if parent else ([], 0)
        value: Any = list(before) if isinstance(before, list) else before
        self.last += 1
        match how:
            case "append" if isinstance(value, list):
                value = [*value, f"{self.last}" * 40]
            case "set" if isinstance(value, list) and value:
                value[pick % len(value)] = f"changed {self.last}"
            case "drop" if isinstance(value, list):
                value = value[pick % 3 :]
            case "dict":
                value = {**value, f"k{self.last}": "v" * 60} if isinstance(value, dict) else {"k": "v" * 120}
            case "missing":
                parent, value = f"never{pick}", ["alone" * 30]
            case _:
                pass
        state = checkpoint_with({"c": version + 1}, c=value)
        new: dict[str, Any] = {"c": version + 1} if how != "same" else {}
        if how == "same" and parent in known:
            state["channel_versions"] = {"c": version}
        at = self.saver.put(config_of(thread, id=parent), state, metadata(self.last, run_id=run), new)
        stored_version = state["channel_versions"]["c"]
        known[id_of(at)] = (parent, value, int(stored_version), run, [])

    @rule(thread=threads, run=runs)
    def grow_until_small_segments_become_one(self, thread: str, run: str) -> None:
        for _ in range(70):
            self.put(thread, 0, run, "append")

    @rule(thread=threads, pick=pick)
    def write(self, thread: str, pick: int) -> None:
        known = self.model.of(thread)
        if known:
            id = sorted(known)[pick % len(known)]
            self.last += 1
            self.saver.put_writes(config_of(thread, id=id), [("w", self.last)], f"task{self.last:04d}")
            known[id][4].append((f"task{self.last:04d}", "w", self.last))

    @rule(thread=threads)
    def prune(self, thread: str) -> None:
        self.saver.prune([thread])
        known = self.model.of(thread)
        for id in sorted(known)[:-1]:
            del known[id]

    @rule(run=runs)
    def delete_run(self, run: str) -> None:
        self.saver.delete_for_runs([run])
        for known in self.model.threads.values():
            for id in [id for id, row in known.items() if row[3] == run]:
                del known[id]

    @rule(thread=threads)
    def copy_over(self, thread: str) -> None:
        other = "b" if thread == "a" else "a"
        self.saver.delete_thread(other)
        self.saver.copy_thread(thread, other)
        self.model.threads[other] = {
            id: (parent, value, version, run, list(writes))
            for id, (parent, value, version, run, writes) in self.model.of(thread).items()
        }

    @invariant()
    def all_is_as_it_was_put(self) -> None:
        if not hasattr(self, "saver"):
            return
        for thread, known in self.model.threads.items():
            listed = {id_of(at.config): at for at in self.saver.list({"configurable": {"thread_id": thread}})}
            assert list(listed) == sorted(known, reverse=True)
            for id, (parent, value, version, run, writes) in known.items():
                self.matches(listed[id], parent, value, version, run, writes)

    def matches(
        self, at: CheckpointTuple, parent: Any, value: Any, version: int, run: str, writes: list[Any]
    ) -> None:
        assert at.checkpoint["channel_values"] == {"c": value}
        assert at.checkpoint["channel_versions"] == {"c": version}
        assert (id_of(at.parent_config) if at.parent_config else None) == parent
        assert at.metadata.get("run_id") == run
        assert at.pending_writes == writes


class SqliteMachine(SaverMachine):
    """The same on SQLite."""

    kind = "sqlite-memory"


class SealedMachine(SaverMachine):
    """The same with values that are bound to their place."""

    kind = "memory-sealed"


TestSaverInMemory = SaverMachine.TestCase
TestSaverInMemory.settings = settings(max_examples=12, stateful_step_count=15, deadline=None)
TestSaverInSqlite = SqliteMachine.TestCase
TestSaverInSqlite.settings = settings(max_examples=6, stateful_step_count=12, deadline=None)
TestSealedSaver = SealedMachine.TestCase
TestSealedSaver.settings = settings(max_examples=5, stateful_step_count=12, deadline=None)
