"""A database with a key: what can be read in its file without the key, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypedDict

import pytest

import perdure
from perdure.checkpoint.memory import InMemorySaver
from perdure.codec import AesGcm, Codec
from perdure.errors import EncodingError
from perdure.graph import END, START, StateGraph
from perdure.storage.memory import MemoryBackend
from perdure.testing.savers import checkpoint_with, config_of, found, metadata

KEY = b"k" * 32


class State(TypedDict, total=False):
    text: str


def graph() -> StateGraph[Any]:
    drawn = StateGraph(State)
    drawn.add_node("a_node", lambda state: {"text": "unseen answer"})
    drawn.add_edge(START, "a_node")
    drawn.add_edge("a_node", END)
    return drawn


def run_config(**more: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"configurable": {"thread_id": "a-thread", "user": "unseen ada", **more}}
    return {**config, "metadata": {"topic": "unseen tea"}, "run_id": "unseen run"}


def put_config() -> dict[str, Any]:
    config = config_of("by-hand")
    config["configurable"]["user"] = "unseen ada"
    return config


def by_hand() -> Any:
    state: Any = checkpoint_with({"c": 1}, c="unseen value")
    return {**state, "ts": "unseen time", "more": "unseen extra"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with perdure.connect(f"sqlite:///{tmp_path}/a.db", encryption=KEY) as db:
        graph().compile(db).invoke({"text": "unseen question"}, run_config())
        saver = db.checkpointer
        at = saver.put(put_config(), by_hand(), metadata(own="unseen own"), {"c": 1})
        saver.put_writes(at, [("c", "unseen write")], "task")
        saver.copy_thread("by-hand", "copy")
        db.store.put(("users", "ada"), "a-key", {"likes": "unseen tea"})
    return tmp_path


def reopened(folder: Path) -> perdure.Database:
    return perdure.connect(f"sqlite:///{folder}/a.db", encryption=KEY)


def test_nothing_that_a_program_says_is_in_the_file(folder: Path) -> None:
    content = b"".join(file.read_bytes() for file in folder.iterdir())

    assert b"unseen" not in content
    for readable in (b"a-thread", b"a_node", b"a-key", b"ada", b"text", b"by-hand"):
        assert readable in content


def test_metadata_are_read_and_filtered_with_the_key(folder: Path) -> None:
    with reopened(folder) as db:
        saver = db.checkpointer
        runs = [*saver.list(config_of("a-thread"), filter={"user": "unseen ada", "run_id": "unseen run"})]
        hand = [*saver.list(None, filter={"own": "unseen own"})]
        state = graph().compile(db).get_state(config_of("a-thread"))

        assert len(runs) == 3
        assert [at.metadata.get("topic") for at in runs] == ["unseen tea"] * 3
        assert state.metadata is not None
        assert state.metadata.get("user") == "unseen ada"
        assert {at.config["configurable"]["thread_id"] for at in hand} == {"by-hand", "copy"}


@pytest.mark.parametrize("thread", ["by-hand", "copy"])
def test_what_a_checkpoint_has_besides_comes_back(folder: Path, thread: str) -> None:
    with reopened(folder) as db:
        at = found(db.checkpointer, config_of(thread))

    assert at.checkpoint["ts"] == "unseen time"
    assert at.checkpoint["more"] == "unseen extra"  # type: ignore[typeddict-item] - not of the interface
    assert at.checkpoint["channel_values"] == {"c": "unseen value"}
    assert at.metadata == {
        "source": "loop",
        "step": 0,
        "parents": {},
        "own": "unseen own",
        "user": "unseen ada",
    }
    assert at.pending_writes == [("task", "c", "unseen write")]


def test_runs_can_be_taken_out_and_threads_pruned(folder: Path) -> None:
    with reopened(folder) as db:
        graph().compile(db).invoke({"text": "more"}, {**run_config(), "run_id": "second"})
        db.checkpointer.delete_for_runs(["unseen run"])
        kept = [*db.checkpointer.list(config_of("a-thread"))]
        db.checkpointer.prune(["a-thread", "copy"])

        assert {at.metadata.get("run_id") for at in kept} == {"second"}
        assert len([*db.checkpointer.list(config_of("a-thread"))]) == 1
        assert found(db.checkpointer, config_of("copy")).metadata.get("own") == "unseen own"


def test_metadata_survive_a_change_of_keys(folder: Path) -> None:
    new = AesGcm(b"n" * 32, older_keys=[KEY])
    with perdure.connect(f"sqlite:///{folder}/a.db", encryption=new) as db:
        graph().compile(db).invoke({"text": "more"}, run_config(user="bob"))
        users = [at.metadata.get("user") for at in db.checkpointer.list(config_of("a-thread"))]

    assert users == ["bob"] * 3 + ["unseen ada"] * 3


@pytest.mark.parametrize("key", [None, b"x" * 32], ids=["no key", "another key"])
@pytest.mark.parametrize("extra", [{}, {"more": "x"}], ids=["", "extras"])
def test_metadata_that_do_not_open_say_where(key: bytes | None, extra: dict[str, Any]) -> None:
    backend = MemoryBackend()
    saver = InMemorySaver(backend=backend, pieces=Codec(cipher=AesGcm(KEY)))
    saver.put(put_config(), {**checkpoint_with({}), **extra}, metadata(), {})
    stranger = InMemorySaver(backend=backend, pieces=Codec(cipher=None if key is None else AesGcm(key)))

    with pytest.raises(EncodingError, match="thread 'by-hand'"):
        [*stranger.list(None, filter={"user": "x"})]


def test_plain_metadata_are_not_taken_for_sealed_ones() -> None:
    backend = MemoryBackend()
    InMemorySaver(backend=backend).put(put_config(), by_hand(), metadata(), {"c": 1})
    stranger = InMemorySaver(backend=backend, pieces=Codec(cipher=AesGcm(KEY)))

    with pytest.raises(EncodingError, match="not encrypted"):
        [*stranger.list(None)]
