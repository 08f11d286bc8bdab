"""Embedding models by name: OpenAI's API by the official package, against a server that speaks it; and all refusals."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import sys
import threading
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from perdure import connect
from perdure.errors import EmbeddingError, QueryError
from perdure.graph import START, StateGraph
from perdure.integrations.openai import OpenAIEmbeddings
from perdure.store.base import NotSupported, ensure_embeddings
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import AsyncSqliteStore

ME = ("users", "ada")
LONG = 10  # seconds within which something that happens has happened


def vector(text: str, dims: int) -> list[float]:
    """The words counted by their first letters."""
    return [0.25 + sum(ord(word[0]) % dims == place for word in text.split()) for place in range(dims)]


class Api(ThreadingHTTPServer):
    """Speaks the endpoint of embeddings; `answers` are statuses to give first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.statuses: list[int] = []
        self.dims = 4
        self.connections = self.opened = 0
        self.changed = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def count(self, by: int) -> None:
        with self.changed:
            self.connections += by
            self.opened += by > 0
            self.changed.notify_all()

    def wait_for_connections(self, wanted: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.connections == wanted, LONG)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open until the client lets go
    server: Api

    def setup(self) -> None:
        super().setup()
        self.server.count(1)

    def finish(self) -> None:
        super().finish()
        self.server.count(-1)

    def log_message(self, format: str, *args: object) -> None:
        del format, args

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.append(self.headers["Authorization"])
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if self.path != "/v1/embeddings":
            status = 404
        if status != 200:
            self.answer(status, {"error": {"message": f"the server says {status}", "type": "t", "code": "c"}})
            return
        self.server.asked.append(asked)
        dims = asked.get("dimensions", self.server.dims)
        rows = [
            {"object": "embedding", "index": place, "embedding": self.spelt(vector(text, dims), asked)}
            for place, text in enumerate(asked["input"])
        ]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        self.answer(200, {"object": "list", "model": asked["model"], "data": rows[::-1], "usage": usage})

    def spelt(self, made: list[float], asked: dict[str, Any]) -> object:
        if asked.get("encoding_format") == "base64":
            return base64.b64encode(struct.pack(f"<{len(made)}f", *made)).decode()
        return made

    def answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 429:
            self.send_header("retry-after-ms", "1")
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Generator[Api]:
    pytest.importorskip("openai", reason="the openai package is missing: pip install 'perdure[tests]'")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with Api() as server:
        thread = threading.Thread(target=lambda: server.serve_forever(poll_interval=0.01))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def index(api: Api, **more: Any) -> Any:
    return {
        "embed": "openai:text-embedding-3-small",
        "dims": 6,
        "base_url": api.url,
        "fields": ["text"],
        **more,
    }


# ---- a server


def test_a_store_searches_by_a_model_that_it_knows_by_name(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    with connect("memory://", index=index(api)) as db:
        db.store.put_many(
            [(ME, "a", {"text": "apples and pears"}), (ME, "b", {"text": "boats"}), (ME, "c", {"text": ""})]
        )

        found = db.store.search(ME, query="apples and pears", mode="vector")

    assert found[0].key == "a"
    assert found[0].score == pytest.approx(1.0)
    assert [asked["input"] for asked in api.asked] == [
        ["apples and pears", "boats", " "],
        ["apples and pears"],
    ]
    assert {asked["model"] for asked in api.asked} == {"text-embedding-3-small"}
    assert {asked["dimensions"] for asked in api.asked} == {6}
    assert set(api.keys) == {"Bearer a key"}


def test_the_address_may_come_from_the_environment(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", api.url)
    with InMemoryStore(index={"embed": "openai:nomic-embed-text", "dims": 4}) as store:
        store.put(ME, "a", {"text": "apples"})

    assert api.asked[0]["model"] == "nomic-embed-text"
    assert "dimensions" not in api.asked[0]  # who knows whether this server understands it


def test_a_model_of_another_length_is_refused(api: Api) -> None:
    with InMemoryStore(index=index(api, embed="openai:bge-m3", dims=7)) as store:
        with pytest.raises(EmbeddingError, match=r"vectors of 4 components, but .* dims=7"):
            store.put(ME, "a", {"text": "apples"})
        assert store.get(ME, "a") is None


async def test_event_loops_ask_for_themselves(api: Api) -> None:
    async with AsyncSqliteStore.from_conn_string(":memory:", index=index(api)) as store:
        await store.aput(ME, "a", {"text": "apples"})
        found = await store.asearch(ME, query="apples", mode="vector")
        assert [item.key for item in found] == ["a"]

        def in_another_loop() -> None:
            asyncio.run(store.aput(ME, "b", {"text": "boats"}))
            store.put(ME, "c", {"text": "cats"})

        await asyncio.to_thread(in_another_loop)
        await store.aput(ME, "d", {"text": "dogs"})
    assert [text for asked in api.asked for text in asked["input"]] == [
        "apples",
        "apples",
        "boats",
        "cats",
        "dogs",
    ]


def test_closing_a_store_lets_go_of_its_connections(api: Api) -> None:
    store = InMemoryStore(index=index(api))
    store.put(ME, "a", {"text": "apples"})
    assert api.wait_for_connections(1)

    store.close()

    assert api.wait_for_connections(0)


async def test_closing_a_store_in_a_loop_lets_go_of_both_kinds(api: Api) -> None:
    store = InMemoryStore(index=index(api))
    await store.aput(ME, "a", {"text": "apples"})
    await asyncio.to_thread(store.put, ME, "b", {"text": "boats"})
    assert await asyncio.to_thread(api.wait_for_connections, 2)

    await store.aclose()

    assert await asyncio.to_thread(api.wait_for_connections, 0)


async def test_closing_from_another_thread_closes_what_the_loop_has(api: Api) -> None:
    store = InMemoryStore(index=index(api))
    await store.aput(ME, "a", {"text": "apples"})

    await asyncio.to_thread(store.close)

    assert await asyncio.to_thread(api.wait_for_connections, 0)


def test_a_loop_that_ends_takes_its_connections_along(api: Api) -> None:
    store = InMemoryStore(index=index(api))

    async def both() -> None:
        await asyncio.gather(store.aput(ME, "a", {"text": "apples"}), store.aput(ME, "b", {"text": "boats"}))

    asyncio.run(both())

    assert api.wait_for_connections(0)
    store.close()


def test_a_model_that_the_user_made_is_the_user_s_to_close(api: Api) -> None:
    model = OpenAIEmbeddings("text-embedding-3-small", base_url=api.url, api_key="mine")
    with InMemoryStore(index={"embed": model, "dims": 4}) as store:
        store.put(ME, "a", {"text": "apples"})
    assert model.embed_query("boats") == vector("boats", 4)
    assert api.opened == 1

    model.close()
    model.close()

    assert api.wait_for_connections(0)
    assert set(api.keys) == {"Bearer mine"}


# ---- failures


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "401.*refused the key: set OPENAI_API_KEY.*the server says 401"),
        (403, "403.*may not use this model"),
        (404, "404.*no such model"),
        (400, "400.*refused the texts"),
        (418, "418.*it failed"),
    ],
)
def test_a_server_that_refuses_is_a_failing_model(api: Api, status: int, said: str) -> None:
    api.statuses = [status]
    with InMemoryStore(index=index(api)) as store:
        with pytest.raises(EmbeddingError, match=said) as raised:
            store.put(ME, "a", {"text": "apples"})
        assert "Nothing was written" in str(raised.value)
        assert store.get(ME, "a") is None


async def test_a_limit_of_requests_is_waited_for_and_then_a_failure(api: Api) -> None:
    api.statuses = [429, 429]
    with InMemoryStore(index=index(api)) as store:
        store.put(ME, "a", {"text": "apples"})
        assert store.get(ME, "a") is not None
        api.statuses = [429] * 6
        with pytest.raises(EmbeddingError, match=r"429.*no more requests"):
            store.put(ME, "b", {"text": "boats"})
        with pytest.raises(EmbeddingError, match="429"):
            await store.aput(ME, "b", {"text": "boats"})
        assert api.statuses == []
        await store.aclose()


def test_a_server_that_is_not_there_is_a_failing_model(api: Api) -> None:
    api.server_close()
    model = OpenAIEmbeddings("m", base_url=api.url, max_retries=0)
    with (
        InMemoryStore(index={"embed": model, "dims": 4}) as store,
        pytest.raises(EmbeddingError, match="no answer"),
    ):
        store.put(ME, "a", {"text": "apples"})
    model.close()


def test_a_task_fails_with_its_model_or_puts_embedding_off(api: Api) -> None:
    def node(state: dict[str, Any], store: Any) -> None:
        store.put(ME, "a", {"text": "apples"})

    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    for on_error in ("raise", "defer"):
        api.statuses = [400] * 4
        with connect("memory://", index=index(api, on_embed_error=on_error)) as db:
            compiled = graph.compile(db)
            config: Any = {"configurable": {"thread_id": "t"}}
            if on_error == "raise":
                with pytest.raises(EmbeddingError):
                    compiled.invoke({}, config)
                assert db.store.get(ME, "a") is None
            else:
                compiled.invoke({}, config)
                assert db.store.get(ME, "a") is not None


# ---- names


@pytest.mark.parametrize("name", ["openai:text-embedding-3-small", "openai:m"])
def test_without_the_package_the_error_says_what_to_install(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openai", None)
    monkeypatch.setenv("OPENAI_API_KEY", "a key")

    with pytest.raises(EmbeddingError, match=r"pip install 'perdure\[openai,search\]'"):
        InMemoryStore(index={"embed": name, "dims": 4})


def test_without_a_key_the_error_says_so(api: Api) -> None:
    with pytest.raises(EmbeddingError, match="Set OPENAI_API_KEY"):
        InMemoryStore(index={"embed": "openai:text-embedding-3-small", "dims": 4})
    assert api.asked == []


def test_opening_a_store_does_not_import_the_package(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "openai"]:
        monkeypatch.delitem(sys.modules, name)

    with InMemoryStore(index=index(api)):
        assert "openai" not in sys.modules


@pytest.mark.parametrize("name", ["text-embedding-3-small", "openai:", ":model", ""])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(QueryError, match="PROVIDER:MODEL") as raised:
        InMemoryStore(index={"embed": name, "dims": 4})
    assert raised.value.part == "embed"


@pytest.mark.parametrize("name", ["local", "local:minilm"])
def test_there_is_no_model_of_our_own(name: str) -> None:
    with pytest.raises(NotSupported, match="0012"):
        ensure_embeddings(name)


@pytest.mark.parametrize(
    ("embed", "base_url"), [(len, "http://x"), ("openai:m", 5), ("cohere:m", "http://x")]
)
def test_an_address_is_for_models_by_name(embed: Any, base_url: Any) -> None:
    with pytest.raises(QueryError, match="base_url") as raised:
        InMemoryStore(index={"embed": embed, "dims": 4, "base_url": base_url})
    assert raised.value.part == "base_url"


def test_other_names_are_langchain_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package of that name, as small as can be, stands for LangChain's."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "langchain"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "langchain", None)
    with pytest.raises(EmbeddingError, match="pip install langchain"):
        ensure_embeddings("cohere:embed-v4.0")

    monkeypatch.delitem(sys.modules, "langchain")
    (tmp_path / "langchain").mkdir()
    (tmp_path / "langchain" / "__init__.py").touch()
    (tmp_path / "langchain" / "embeddings.py").write_text(
        "class Model:\n"
        "    def __init__(self, name): self.name = name\n"
        "    def embed_documents(self, texts): return [[float(len(self.name))] for _ in texts]\n"
        "def init_embeddings(name):\n"
        "    if name.startswith('none:'): raise ValueError('no such provider')\n"
        "    if name.startswith('gone:'): raise ImportError('pip install langchain-gone')\n"
        "    return Model(name)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    assert ensure_embeddings("cohere:abc").embed_documents(["x"]) == [[10.0]]
    assert ensure_embeddings("langchain:openai:abc").embed_documents(["x"]) == [[10.0]]
    with pytest.raises(QueryError, match="no such provider"):
        ensure_embeddings("none:m")
    with pytest.raises(EmbeddingError, match="langchain-gone"):
        ensure_embeddings("gone:m")
    for name in ("langchain.embeddings", "langchain"):
        sys.modules.pop(name, None)
