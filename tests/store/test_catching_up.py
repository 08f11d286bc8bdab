"""What was stored without vectors is embedded by itself: when the model is there again, by whatever process, and by nobody
after closing."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import perdure
from databases import QUICK
from perdure import connect
from perdure.errors import EmbeddingError, QueryError, Unavailable
from perdure.graph import START, StateGraph
from perdure.storage.contract import Backend
from perdure.storage.memory import MemoryBackend
from perdure.storage.vectors import catching_up
from perdure.storage.vectors.catching_up import CatchingUp
from perdure.storage.vectors.embedder import Embedder
from perdure.store.face import BackendStore, codec_of
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import AsyncSqliteStore, SqliteStore
from perdure.testing import FakeClock

ME = ("users", "ada")
LONG = 10  # seconds within which something that happens has happened


class Model:
    """Fails while `fails` is set, and for every text in `refuses`; tells when it is asked."""

    def __init__(self) -> None:
        self.fails = True
        self.refuses: set[str] = set()
        self.asked: list[list[str]] = []
        self.held: threading.Event | None = None  # it answers when this is set
        self.changed = threading.Condition()

    def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        with self.changed:
            self.asked.append(list(texts))
            held, fails = self.held, self.fails
            self.changed.notify_all()
        if held is not None:
            assert held.wait(LONG)
        if fails or self.refuses & set(texts):
            raise ConnectionError("no route to the model")
        return [[1.0, float(len(text))] for text in texts]

    def hold(self) -> threading.Event:
        """From now on it answers when the event is set."""
        with self.changed:
            self.held, self.fails = threading.Event(), False
            self.asked.clear()
            return self.held

    def wait_until(self, true: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(true, LONG)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catching_up, "FIRST", 0.001)


@pytest.fixture(params=QUICK)
def backend(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Backend]:
    with connect(url_of(request.param)) as db:
        yield db.backend


def index(model: object, **more: Any) -> Any:
    return {"embed": model, "dims": 2, "fields": ["text"], "on_embed_error": "defer", **more}


def owed(backend: Backend) -> list[str]:
    with backend.read() as now:
        return [row.key for row in now.owed(0, 10_000)]


def settled(store: Any) -> bool:
    """Whether the thread has ended; waits for it."""
    thread = store._catching_up._thread
    if thread is not None:
        thread.join(LONG)
    return thread is None or not thread.is_alive()


def found(store: Any, query: str = "tea") -> list[str]:
    return sorted(item.key for item in store.search((), query=query, mode="vector", limit=1000))


def test_what_was_put_off_is_embedded_when_the_model_is_there_again(backend: Backend, model: Model) -> None:
    with FakeClock() as clock:  # which stands still, and nobody minds
        store = BackendStore(backend, codec_of(index(model)))
        for n in range(300):
            store.put(ME, f"{n}", {"text": f"tea {n}"})
        store.put(ME, "nothing", {"other": 1})
        store.put(ME, "hidden", {"text": "tea"}, index=False)
        versions = [item.version for item in store.search((), limit=1000)]
        assert len(owed(backend)) == 300
        model.wait_until(lambda: len(model.asked) > 305)
        clock.advance(days=1)

        model.fails = False

        assert settled(store)
        assert owed(backend) == []
        assert len(found(store)) == 300
        assert [item.version for item in store.search((), limit=1000)] == versions
        assert store.reindex().filed == 0
        store.close()


def test_a_store_that_never_put_anything_off_has_no_thread(model: Model) -> None:
    model.fails = False
    with InMemoryStore(index=index(model)) as store:
        store.put(ME, "a", {"text": "tea"})

        assert store._catching_up is not None
        assert store._catching_up._thread is None


def test_only_what_has_texts_is_owed(backend: Backend, model: Model) -> None:
    store = BackendStore(backend, codec_of(index(model, catch_up=False)))

    store.put_many([(ME, "nothing", {"other": 1}), (ME, "a", {"text": "tea"})])
    asyncio.run(store.aput(ME, "b", {"text": "tea"}))

    assert owed(backend) == ["a", "b"]


def test_it_can_be_left_to_reindexing(backend: Backend, model: Model) -> None:
    store = BackendStore(backend, codec_of(index(model, catch_up=False)))
    store.put(ME, "a", {"text": "tea"})
    model.fails = False

    assert store._catching_up is None
    assert found(store) == []
    assert store.reindex().filed == 1
    assert found(store) == ["a"]
    assert owed(backend) == []
    with pytest.raises(QueryError) as raised:
        InMemoryStore(index=index(model, catch_up="never"))
    assert raised.value.part == "catch_up"


def test_reindexing_by_hand_says_that_the_model_fails(model: Model) -> None:
    with InMemoryStore(index=index(model, catch_up=False)) as store:
        store.put(ME, "a", {"text": "tea"})
        with pytest.raises(EmbeddingError):
            store.reindex()


# ---- waiting


class Waits:
    """In place of waiting: each pause is told, and lasts until it is let go."""

    def __init__(self, until: int) -> None:
        self.pauses: list[float] = []
        self.until = until
        self.done = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, stop: threading.Event, seconds: float) -> bool:
        self.pauses.append(seconds)
        if len(self.pauses) == self.until:
            self.done.set()
            assert self.let_go.wait(LONG)
        return stop.is_set()


def test_while_the_model_fails_it_waits_longer_and_longer(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catching_up, "FIRST", 1.0)
    backend = MemoryBackend()
    codec = codec_of(index(model, catch_up=False))
    BackendStore(backend, codec).put(ME, "a", {"text": "tea"})
    waits = Waits(until=16)
    one = CatchingUp(codec, backend, wait=waits)

    one.begin()

    assert waits.done.wait(LONG)
    failures = waits.pauses[0::2]  # after a failure; between, the only item was passed over
    for pause, wanted in zip(failures, [1, 2, 4, 8, 16, 32, 64, 128], strict=True):
        assert 0.8 * wanted <= pause <= 1.2 * wanted
    assert max(waits.pauses) <= 1.2 * catching_up.LONGEST
    model.fails = False
    waits.let_go.set()
    assert one._thread is None or one._thread.join(LONG) is None
    assert owed(backend) == []
    one.stop()


def test_a_text_that_the_model_refuses_stands_in_nobody_s_way(backend: Backend, model: Model) -> None:
    store = BackendStore(backend, codec_of(index(model)))
    model.refuses = {"poison 3", "poison 40"}
    for n in range(60):
        store.put(ME, f"{n}", {"text": f"{'poison' if n in (3, 40) else 'tea'} {n}"})
    model.fails = False

    with model.changed:
        assert model.changed.wait_for(lambda: owed(backend) == ["3", "40"] or None, LONG)
    assert len(found(store)) == 58

    model.refuses = set()
    assert settled(store)
    assert len(found(store)) == 60
    store.close()


def test_a_database_that_fails_meanwhile_is_waited_for(backend: Backend, model: Model) -> None:
    class Flaky:
        """Two reads fail."""

        def __init__(self) -> None:
            self.left = 2

        def __getattr__(self, name: str) -> Any:
            return getattr(backend, name)

        def read(self) -> Any:
            if threading.current_thread().name == "perdure-catching-up" and self.left:
                self.left -= 1
                raise Unavailable("no answer")
            return backend.read()

    flaky: Any = Flaky()
    store = BackendStore(flaky, codec_of(index(model)))
    store.put(ME, "a", {"text": "tea"})
    model.fails = False

    assert settled(store)
    assert flaky.left == 0
    assert found(store) == ["a"]
    store.close()


# ---- others


def test_what_is_written_again_meanwhile_keeps_its_newer_vectors(backend: Backend, model: Model) -> None:
    store = BackendStore(backend, codec_of(index(model)))
    store.put(ME, "a", {"text": "old tea"})
    store.put(ME, "b", {"text": "gone"})

    def newer(texts: Sequence[str]) -> list[list[float]]:
        return [[1.0, -5.0] for _ in texts]

    held = model.hold()
    model.wait_until(lambda: bool(model.asked))
    other = BackendStore(backend, codec_of(index(newer, catch_up=False)))
    other.put(ME, "a", {"text": "new"})
    other.delete(ME, "b")

    held.set()

    assert settled(store)
    assert owed(backend) == []
    with backend.read() as now:
        (space,) = now.vector_spaces((), store._codec.embedder.name)  # type: ignore[union-attr]
        ((_, data),) = now.vectors(space.space, store._codec.embedder.name, 0, 0, 9)  # type: ignore[union-attr]
    assert data == b"\x00\x00\x80?\x00\x00\xa0\xc0"
    store.close()


def test_two_stores_on_one_file_do_no_harm(tmp_path: Path, model: Model) -> None:
    path = str(tmp_path / "a.db")
    with (
        SqliteStore.from_conn_string(path, index=index(model)) as one,
        SqliteStore.from_conn_string(path, index=index(model)) as other,
    ):
        for n in range(100):
            (one, other)[n % 2].put(ME, f"{n}", {"text": f"tea {n}"})
        model.fails = False

        assert settled(one)
        assert settled(other)
        assert found(one) == found(other)
        assert len(found(one)) == 100


def test_what_a_process_left_behind_is_embedded_by_the_next(tmp_path: Path, model: Model) -> None:
    path = tmp_path / "a.db"
    program = (
        "import sys, os, perdure\n"
        "def fails(texts): raise ConnectionError\n"
        "index = {'embed': fails, 'dims': 2, 'fields': ['text'], 'on_embed_error': 'defer'}\n"
        f"store = perdure.connect('sqlite:///{path}', index=index).store\n"
        "store.put(('users', 'ada'), 'a', {'text': 'tea'})\n"
        "os._exit(0)"
    )
    here = {**os.environ, "PYTHONPATH": str(Path(perdure.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program], check=True, env=here, capture_output=True)
    model.fails = False

    with connect(f"sqlite:///{path}", index=index(model)) as db:
        assert settled(db.store)
        assert found(db.store) == ["a"]
        assert owed(db.backend) == []


def test_what_a_node_stored_without_vectors_is_embedded_after_its_step(
    backend: Backend, model: Model
) -> None:
    store = BackendStore(backend, codec_of(index(model)))

    def node(state: dict[str, Any], store: Any) -> None:
        store.put(ME, "a", {"text": "tea"})
        store.update(ME, "b", lambda value: {"text": "more tea"})

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    graph.compile(store=store).invoke({})
    assert sorted(owed(backend)) == ["a", "b"]
    model.fails = False

    assert settled(store)
    assert found(store) == ["a", "b"]
    store.close()


@pytest.mark.parametrize("url", ["memory://", "sqlite:///:memory:"])
@pytest.mark.parametrize("durability", ["sync", "async", "exit", None])
def test_what_is_computed_anew_when_the_model_is_gone_is_embedded_after_its_step(
    url: str, durability: str | None, model: Model
) -> None:
    """It had answered in the task; then somebody else was faster. None: a graph without a saver."""
    model.fails, model.refuses = False, {"tea of 2"}

    def node(state: dict[str, Any], store: Any) -> None:
        store.update(ME, "a", lambda value: {"text": f"tea of {value['n'] + 1}", "n": value["n"] + 1})
        store.direct.update(ME, "a", lambda value: {"text": "theirs", "n": 1})

    with connect(url, index=index(model)) as db:
        db.store.put(ME, "a", {"text": "tea of 0", "n": 0})
        graph = StateGraph(dict).add_node("node", node).add_edge(START, "node")
        if durability is None:
            graph.compile(store=db.store).invoke({})
        else:
            graph.compile(db).invoke({}, {"configurable": {"thread_id": "t"}}, durability=durability)
        item = db.store.get(ME, "a")
        assert item is not None
        assert item.value == {"text": "tea of 2", "n": 2}
        assert owed(db.backend) == ["a"]
        model.refuses.clear()

        assert settled(db.store)
        assert owed(db.backend) == []
        assert found(db.store) == ["a"]


# ---- what others filed


@pytest.mark.parametrize("other", [{"text": False}, {"language": "german"}, {"fields": ["text", "title"]}])
def test_words_that_another_store_filed_stay_as_they_are(
    backend: Backend, model: Model, other: dict[str, Any]
) -> None:
    """Who embeds what was put off has no say in words; who is told to reindex has, in those that he files."""
    codec = codec_of(index(model, catch_up=False))
    writer = BackendStore(backend, codec)
    assert codec.filer is not None
    analysis = codec.filer.analysis
    for key in "abc":
        writer.put(ME, key, {"text": f"tea for {key}"})
    writer.put(ME, "wordless", {"other": 1})
    with backend.read() as now:
        filed = now.text_totals((), analysis)
        before = now.count("postings")
    assert (filed.items, filed.strays) == (3, 0)
    model.fails = False

    reader = BackendStore(backend, codec_of(index(model, **other)))
    assert settled(reader)

    assert owed(backend) == []
    with backend.read() as now:
        assert now.text_totals((), analysis) == filed
        assert now.count("postings") == before
    assert [item.key for item in writer.search((), query="tea", mode="text")] == ["c", "b", "a"]
    if other == {"text": False}:
        assert reader.reindex().filed == 0
        with backend.read() as now:
            assert now.text_totals((), analysis) == filed
    reader.close()
    writer.close()


# ---- the end


def test_closing_waits_for_no_model(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    """What it answers later is thrown away."""
    monkeypatch.setattr(catching_up, "CLOSING", 0.0)
    monkeypatch.setattr(CatchingUp.stop, "__defaults__", (0.0,))
    backend = MemoryBackend()
    store = BackendStore(backend, codec_of(index(model)))
    store.put(ME, "a", {"text": "tea"})
    held = model.hold()
    model.wait_until(lambda: bool(model.asked))
    one = store._catching_up
    assert one is not None
    thread = one._thread
    assert thread is not None
    assert (one.in_flight, "1 items in flight" in repr(one)) == (1, True)

    store.close()

    assert thread.is_alive()
    held.set()
    thread.join(LONG)
    assert not thread.is_alive()
    assert owed(backend) == ["a"]
    assert one.in_flight == 0


def test_nothing_is_begun_after_closing(backend: Backend, model: Model) -> None:
    store = BackendStore(backend, codec_of(index(model)))
    store.put(ME, "a", {"text": "tea"})
    one = store._catching_up
    assert one is not None
    store.close()
    assert one._thread is None or not one._thread.is_alive()

    other = BackendStore(backend, codec_of(index(model, catch_up=False)))
    other.put(ME, "b", {"text": "tea"})
    one._told()  # of a commit that was made while it closed

    assert one._thread is None
    assert sorted(owed(backend)) == ["a", "b"]


async def test_closing_in_an_event_loop_does_not_hold_it(model: Model) -> None:
    store = InMemoryStore(index=index(model))
    await store.aput(ME, "a", {"text": "tea"})
    held = model.hold()
    await asyncio.to_thread(model.wait_until, lambda: bool(model.asked))

    closed: list[bool] = []

    async def lets_go() -> None:
        closed.append(store._closed)
        held.set()

    await asyncio.gather(store.aclose(), lets_go())

    assert closed == [False]  # the loop went on while closing waited
    assert store._catching_up is not None
    assert store._catching_up._thread is None or not store._catching_up._thread.is_alive()


async def test_a_store_that_asks_its_connection_catches_up_too(tmp_path: Path, model: Model) -> None:
    path = str(tmp_path / "a.db")
    async with AsyncSqliteStore.from_conn_string(path, index=index(model, catch_up=False)) as store:
        await store.aput(ME, "a", {"text": "tea"})
    model.fails = False
    async with AsyncSqliteStore.from_conn_string(path, index=index(model)) as store:
        assert await asyncio.to_thread(settled, store)
        assert [item.key for item in await store.asearch((), query="tea", mode="vector")] == ["a"]


def test_the_store_past_a_task_begins_no_second_thread(model: Model) -> None:
    with InMemoryStore(index=index(model)) as store:
        direct: Any = store.direct
        direct.put(ME, "a", {"text": "tea"})

        assert direct._catching_up is None
        model.fails = False
        assert settled(store)
        assert found(store) == ["a"]


def test_what_a_decoder_of_the_user_s_cannot_read_stands_in_nobody_s_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: Model
) -> None:
    warned = threading.Semaphore(0)
    path = tmp_path / "a.db"
    with SqliteStore.from_conn_string(str(path), index=index(model, catch_up=False)) as store:
        store.put(ME, "odd", {"text": "odd"})
        store.put(ME, "good", {"text": "tea"})
    model.fails = False

    def loads(stored: bytes) -> dict[str, Any]:
        if b"odd" in stored:
            raise RuntimeError("a decoder of the user's")
        return json.loads(stored)

    monkeypatch.setattr(catching_up.log, "warning", lambda *_: warned.release())
    connection = sqlite3.connect(path, check_same_thread=False)
    with SqliteStore(connection, deserializer=loads, index=index(model)) as store:
        for _ in range(3):  # both together, the odd one alone, and, when the other is done, the odd one again
            assert warned.acquire(timeout=LONG)
        assert found(store) == ["good"]
    connection.close()


def test_a_second_stop_does_not_wait_again(model: Model) -> None:
    with InMemoryStore(index=index(model)) as store:
        store.put(ME, "a", {"text": "tea"})
        held = model.hold()
        model.wait_until(lambda: bool(model.asked))
        one: Any = store._catching_up
        assert one.stop(0.01) is False
        assert one.stop(LONG**6) is False  # or this never ends
        held.set()


async def test_the_store_past_a_task_closes_nothing(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    closed: list[Embedder] = []

    async def aclose(self: Embedder) -> None:
        closed.append(self)

    monkeypatch.setattr(Embedder, "aclose", aclose)
    async with InMemoryStore(index=index(model)) as store:
        async with store.direct:
            pass
        assert closed == []
        store.direct.put(ME, "a", {"text": "tea"})
    assert len(closed) == 1
