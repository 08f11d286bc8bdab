"""A value that cannot be read back says where it stands: thread, namespace, checkpoint, channel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypedDict

import pytest

from perdure.checkpoint.memory import InMemorySaver
from perdure.codec import DEFAULT, AesGcm, Codec
from perdure.engine.headcache import HEADS
from perdure.errors import EncodingError, PerdureError, StorageError
from perdure.graph import END, START, StateGraph
from perdure.storage import chains
from perdure.storage.contract import SegmentRow, commit_now
from perdure.storage.deltas import PATCH
from perdure.storage.item_codec import ItemCodec
from perdure.storage.memory import MemoryBackend
from perdure.store.memory import InMemoryStore
from perdure.testing.savers import chain, checkpoint_with, config_of, id_of, metadata


@dataclass
class Note:
    text: str


class State(TypedDict, total=False):
    plain: str
    note: Any
    notes: Any


def knowing(key: bytes | None = None) -> Codec:
    registry = DEFAULT.child()
    registry.add_types([Note])
    return Codec(registry, cipher=None if key is None else AesGcm(key))


def sealed(letter: bytes) -> Codec:
    return knowing(letter * 32)


WRITERS: list[Callable[[], tuple[Codec, Codec]]] = [
    lambda: (knowing(), Codec(DEFAULT.child())),
    lambda: (sealed(b"a"), sealed(b"b")),
]
both = pytest.mark.parametrize("codecs", WRITERS, ids=["unregistered", "wrong key"])


def names_all(error: EncodingError, ns: str, id: str, channel: str) -> None:
    for text in (str(error), error.path):
        for part in ("thread 't'", f"checkpoint {id}", channel):
            assert part in text, (part, text)
        assert ("namespace" in text) == (ns != ""), text
        assert ns in text
    assert str(error).count("thread 't'") == 1


@both
@pytest.mark.parametrize("ns", ["", "child"])
@pytest.mark.parametrize("size", [1, 1000], ids=["in the row", "in a log"])
def test_a_channel_that_cannot_be_read(codecs: Callable[[], Any], ns: str, size: int) -> None:
    mine, other = codecs()
    backend = MemoryBackend()
    saver = InMemorySaver(backend=backend, pieces=mine)
    state = checkpoint_with({"note": 1}, note=Note("x" * size))
    at = saver.put(config_of(ns=ns), state, metadata(), {"note": 1})
    stranger = InMemorySaver(backend=backend, pieces=other)

    with pytest.raises(EncodingError) as caught:
        stranger.get_tuple(at)
    names_all(caught.value, ns, id_of(at), "channel 'note'")
    with pytest.raises(EncodingError) as caught:
        next(iter(stranger.list(config_of(ns=ns))))
    names_all(caught.value, ns, id_of(at), "channel 'note'")


@both
def test_a_pending_write_that_cannot_be_read(codecs: Callable[[], Any]) -> None:
    mine, other = codecs()
    backend = MemoryBackend()
    saver = InMemorySaver(backend=backend, pieces=mine)
    at = saver.put(config_of(), checkpoint_with({}), metadata(), {})
    saver.put_writes(at, [("note", Note("x"))], "task-1")
    stranger = InMemorySaver(backend=backend, pieces=other)

    with pytest.raises(EncodingError) as caught:
        stranger.get_tuple(at)

    names_all(caught.value, "", id_of(at), "channel 'note'")
    assert "task-1" in str(caught.value)


@both
def test_a_list_that_is_gone_on_from_and_cannot_be_read(codecs: Callable[[], Any]) -> None:
    mine, other = codecs()
    backend = MemoryBackend()
    notes = [Note("x" * 200)]
    saver = InMemorySaver(backend=backend, pieces=mine)
    at = saver.put(config_of(), checkpoint_with({"notes": 1}, notes=notes), metadata(), {"notes": 1})
    stranger = InMemorySaver(backend=backend, pieces=other)

    with pytest.raises(EncodingError) as caught:
        stranger.put(at, checkpoint_with({"notes": 2}, notes=[]), metadata(1), {"notes": 2})

    names_all(caught.value, "", id_of(at), "channel 'notes'")


@both
def test_a_graph_s_thread_that_cannot_be_read(codecs: Callable[[], Any]) -> None:
    mine, other = codecs()
    backend = MemoryBackend()

    def app(codec: Codec) -> Any:
        drawn = StateGraph(State)
        drawn.add_node("write", lambda state: {"note": Note("x" * 400)})
        drawn.add_edge(START, "write")
        drawn.add_edge("write", END)
        return drawn.compile(InMemorySaver(backend=backend, pieces=codec))

    app(mine).invoke({"plain": "hello"}, config_of())
    newest = next(iter(InMemorySaver(backend=backend, pieces=mine).list(config_of())))
    stranger = app(other)
    HEADS.take(backend, "t", "")  # as in another process

    for act in (
        lambda: stranger.get_state(config_of()),
        lambda: [*stranger.get_state_history(config_of())],
        lambda: stranger.invoke({"plain": "again"}, config_of()),
    ):
        with pytest.raises(EncodingError) as caught:
            act()
        names_all(caught.value, "", id_of(newest.config), "channel '")


def test_a_copy_of_what_cannot_be_read() -> None:
    backend = MemoryBackend()
    chain(InMemorySaver(backend=backend, pieces=sealed(b"a")), 2)

    with pytest.raises(EncodingError, match="thread 't'"):
        InMemorySaver(backend=backend, pieces=sealed(b"b")).copy_thread("t", "u")


def test_an_item_that_does_not_open_is_named() -> None:
    backend = MemoryBackend()
    InMemoryStore(backend=backend, codec=ItemCodec(AesGcm(b"a" * 32))).put(("users", "ada"), "k1", {"a": 1})
    stranger = InMemoryStore(backend=backend, codec=ItemCodec(AesGcm(b"b" * 32)))

    with pytest.raises(EncodingError) as caught:
        stranger.get(("users", "ada"), "k1")

    assert "'k1' in ('users', 'ada')" in str(caught.value)


def test_rows_with_a_changed_byte_are_read_or_are_an_error_of_ours() -> None:
    """Rows carry no checksum: names, numbers and lengths of another meaning must not raise whatever comes to pass."""

    def node(state: State) -> State:
        return {"plain": "y" * 600, "notes": [*state.get("notes", []), "z" * 300]}

    backend = MemoryBackend()
    drawn: Any = StateGraph(State)
    saver = InMemorySaver(backend=backend)
    graph = drawn.add_node("node", node).add_edge(START, "node").compile(saver)
    for turn in range(2):
        graph.invoke({"plain": str(turn)}, config_of())
    with backend.read() as snapshot:
        rows = snapshot.checkpoints("t", "", None, None)
    refused = 0

    for row in rows:
        for place in range(len(row.state)):
            HEADS.take(backend, "t", "")  # as in another process
            rust = row.state[:place] + bytes([row.state[place] ^ (1 << place % 8)]) + row.state[place + 1 :]
            backend.commit(commit_now(checkpoints=[row._replace(state=rust)]))
            for act in (
                lambda: graph.get_state(config_of()),
                lambda: [*graph.get_state_history(config_of())],
                lambda: [*saver.list(config_of())],
                lambda: saver.copy_thread("t", "copy"),
            ):
                try:
                    act()
                except PerdureError:
                    refused += 1
            saver.delete_thread("copy")
        backend.commit(commit_now(checkpoints=[row]))

    assert refused > 100


def test_a_log_of_another_meaning_is_an_error_that_names_it() -> None:
    backend, codec = MemoryBackend(), knowing()
    backend.commit(commit_now(segments=[SegmentRow("t", 7, 0, 1, PATCH, codec.encode(5))]))

    with backend.read() as snapshot, pytest.raises(StorageError, match=r"log 7 of thread 't'.*damaged"):
        chains.Logs(snapshot, codec, "t").value(chains.Ref(7, 1))


def test_a_key_that_is_no_text_is_an_error_that_names_the_checkpoint() -> None:
    stored = {START: chains.Stored({5: b"c"})}  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType] - damage
    head = chains.Head("t", "", "c1", None, None, 0, "input", 0, None, {}, {}, stored)

    with MemoryBackend().read() as snapshot, pytest.raises(StorageError, match="checkpoint c1 of thread 't'"):
        chains.read_values(snapshot, knowing(), head)
