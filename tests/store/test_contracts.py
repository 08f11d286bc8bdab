"""Memory contracts: our stores hold them as the suite that we ship says; and how: schemas, tasks, encryption, races."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given
from typing_extensions import TypedDict

from databases import POSTGRES, QUICK
from perdure import Contract, ContractError, QueryError, connect
from perdure.errors import EncodingError
from perdure.graph import START, StateGraph
from perdure.runtime import Runtime
from perdure.storage.contract import Backend
from perdure.storage.contracts import rewriting
from perdure.storage.contracts.book import Contracts, contracts_of
from perdure.storage.contracts.marks import MOST, marked, taken_apart
from perdure.storage.item_codec import ItemCodec
from perdure.storage.item_store import ItemStore
from perdure.storage.memory import MemoryBackend
from perdure.storage.sqlite import SqliteBackend, open_backend
from perdure.store.face import BackendStore, codec_of
from perdure.store.memory import InMemoryStore
from perdure.store.sqlite import AsyncSqliteStore, SqliteStore
from perdure.testing import store_contracts
from perdure.testing.store_contracts import ADA, EVERY, FIRST, SECOND, Open, Profile

ME = ("users", "ada")


def name(check: object) -> str:
    return getattr(check, "__name__", "")


@pytest.fixture(params=["memory", "sqlite-file", "sqlite-memory", "encrypted", POSTGRES])
def open_(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    from perdure.codec import AesGcm

    cipher = AesGcm(bytes(32)) if request.param == "encrypted" else None
    backend: Backend
    match request.param:
        case "sqlite-file":
            backend = open_backend(str(tmp_path / "store.db"))
        case "sqlite-memory":
            backend = SqliteBackend(None)
        case "postgres":
            from perdure.storage.postgres import open_backend as open_postgres

            backend = open_postgres(request.getfixturevalue("postgres_url"))
        case _:
            backend = MemoryBackend()
    yield lambda contracts: BackendStore(backend, codec_of(None, cipher, contracts=contracts))
    backend.close()


TEXT_SEARCH = {store_contracts.items_are_rewritten_under_the_present_version}


@pytest.mark.parametrize("check", store_contracts.CONTRACT_CHECKS, ids=name)
def test_a_store_holds_contracts(
    check: Callable[[Open], None], open_: Open, request: pytest.FixtureRequest
) -> None:
    if check in TEXT_SEARCH and "encrypted" in request.node.callspec.id:
        pytest.skip("an encrypted database is not searched by words")
    check(open_)


@pytest.mark.parametrize("check", store_contracts.ASYNC_CONTRACT_CHECKS, ids=name)
async def test_a_store_holds_contracts_in_its_other_colour(
    check: Callable[[Open], Awaitable[None]], open_: Open
) -> None:
    await check(open_)


# ---- where contracts are given


def test_every_way_to_open_a_store_takes_contracts(tmp_path: Path) -> None:
    path = str(tmp_path / "a.db")
    asked: Any = {"contracts": [FIRST]}

    def refuses(store: ItemStore) -> None:
        with pytest.raises(ContractError):
            store.put(ADA, "me", {"nobody": 1})
        store.put(ADA, "me", {"name": "Ada"})

    with InMemoryStore(**asked) as store:
        refuses(store)
    with SqliteStore.from_conn_string(path, **asked) as store:
        refuses(store)
    with connect(f"sqlite:///{path}", **asked) as db:
        refuses(db.store)
    with connect("memory://", encryption=bytes(32), **asked) as db:
        refuses(db.store)

    async def in_a_loop() -> None:
        async with AsyncSqliteStore.from_conn_string(path, **asked) as store:
            with pytest.raises(ContractError):
                await store.aput(ADA, "me", {"nobody": 1})

    asyncio.run(in_a_loop())


class Bag(TypedDict):
    what: set[str]


class Unresolved(TypedDict):
    what: NoSuchName  # noqa: F821 # type: ignore[name-defined]


@pytest.mark.parametrize(
    ("make", "part", "said"),
    [
        (lambda: Contract((), Profile), "namespace", "at least one label"),
        (lambda: Contract(("**", "a", "**"), Profile), "namespace", "at most once"),
        (lambda: Contract(("a",), Profile, version=0), "version", "from 1"),
        (lambda: Contract(("a",), Profile, version=True), "version", "from 1"),
        (lambda: Contract(("a",), Profile, version=1 << 31), "version", "from 1"),
        (lambda: Contract(("a",), Profile, migrate=5), "migrate", "no function"),  # type: ignore[arg-type]
        (lambda: Contract(("a",), Profile, migrate=coroutine), "migrate", "async"),  # type: ignore[arg-type]
        (lambda: Contract(("a",), {"name": str}), "schema", "give a class"),  # type: ignore[arg-type]
        (lambda: contracts_of([Contract(("a",), int)]), "schema", "no pydantic model"),
        (
            lambda: contracts_of([Contract(("a",), Bag)]),
            "schema",
            r"Bag.what is of a type .*set\[str\]|Bag.what",
        ),
        (lambda: contracts_of([Contract(("a",), Unresolved)]), "schema", "NoSuchName"),
        (lambda: contracts_of([FIRST, FIRST]), "contracts", "two for"),
        (lambda: contracts_of([Profile]), "contracts", "Contract objects"),  # type: ignore[list-item]
        (lambda: contracts_of(FIRST), "contracts", "a list"),  # type: ignore[arg-type]
    ],
)
def test_what_can_be_no_contract_is_refused_when_it_is_given(
    make: Callable[[], object], part: str, said: str
) -> None:
    with pytest.raises(QueryError, match=said) as raised:
        make()

    assert raised.value.part == part


async def coroutine(value: dict[str, Any], version: int) -> dict[str, Any]:
    return value


def test_a_bad_contract_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    with pytest.raises(QueryError):
        connect(f"sqlite:///{tmp_path / 'new.db'}", contracts=[Contract(("a",), Bag)])

    assert not (tmp_path / "new.db").exists()


# ---- which one holds

labels = st.sampled_from("abc")
patterns = st.lists(st.sampled_from(["a", "b", "*"]), max_size=2).flatmap(
    lambda front: st.lists(st.sampled_from(["a", "b", "*"]), max_size=2).map(lambda back: (front, back))
)


def means(pattern: tuple[str, ...], namespace: tuple[str, ...]) -> bool:
    """The definition, by cases."""
    if not pattern:
        return not namespace
    first, rest = pattern[0], pattern[1:]
    if first == "**":
        return any(means(rest, namespace[n:]) for n in range(len(namespace) + 1))
    return bool(namespace) and first in ("*", namespace[0]) and means(rest, namespace[1:])


@given(
    st.lists(st.tuples(patterns, st.booleans()), min_size=1, max_size=5),
    st.lists(labels, min_size=1, max_size=4).map(tuple),
)
def test_the_contract_of_a_namespace_is_the_most_exact_one_that_means_it(
    given_: list[Any], namespace: tuple[str, ...]
) -> None:
    made = {(*front, *(("**",) if many else ()), *back) for (front, back), many in given_}
    made.discard(())
    agreed = contracts_of(
        [Contract(pattern, Profile, version=n) for n, pattern in enumerate(sorted(made), 1)]
    )

    holds = None if agreed is None else agreed.of(namespace)

    fitting = [pattern for pattern in sorted(made) if means(pattern, namespace)]
    assert (holds is None) == (not fitting)
    if holds is not None:
        chosen = sorted(made)[holds.version - 1]
        assert chosen in fitting
        for other in fitting:
            kinds = [kind_at(pattern, place) for place in range(6) for pattern in (chosen, other)]
            assert kinds[::2] >= kinds[1::2]


def kind_at(pattern: tuple[str, ...], place: int) -> int:
    if place >= len(pattern):
        return 1 if place == len(pattern) else -1
    return {"**": 0, "*": 2}.get(pattern[place], 3)


def test_what_is_remembered_of_namespaces_does_not_grow_for_ever() -> None:
    agreed = contracts_of([FIRST])
    assert isinstance(agreed, Contracts)

    for n in range(10_000):
        agreed.of(("users", str(n), "profile"))

    assert len(agreed._known) < 5000


# ---- searches


@pytest.mark.parametrize("prefix", [(), ("users",), ("users", "ada"), ADA])
def test_filters_mean_what_readers_see_whatever_an_index_of_paths_has(
    tmp_path: Path, prefix: tuple[str, ...]
) -> None:
    """Declared or not: what is stored of an older item has another name, or none; what is current is found by the index."""
    path = str(tmp_path / "a.db")
    with SqliteStore.from_conn_string(path, contracts=[FIRST], indexes=["name", "first"]) as first:
        first.put(ADA, "old", {"name": "Ada Love"})
        assert [item.key for item in first.search(prefix, filter={"name": "Ada Love"})] == ["old"]
        first.put(("users", "ada", "other"), "free", {"first": "Ada", "name": "Ada Love"})
    with SqliteStore.from_conn_string(path, contracts=[SECOND]) as store:
        store.put(ADA, "new", {"first": "Ada", "last": "", "tags": []})

        for _ in ("older", "rewritten"):
            keys = [item.key for item in store.search(prefix, filter={"first": "Ada"}) if item.key != "free"]
            assert sorted(keys) == ["new", "old"]
            assert store.count(prefix, filter={"name": "Ada Love"}) == (prefix != ADA)
            store.migrate_contracts()
        assert store.delete_prefix(ADA, filter={"last": "Love"}) == 1


@given(
    st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=3).filter(
        lambda one: one.count("**") < 2
    ),
    st.lists(st.sampled_from("abc"), max_size=3).map(tuple),
)
def test_below_a_prefix_values_may_change_where_a_contract_that_migrates_may_hold(
    pattern: list[str], prefix: tuple[str, ...]
) -> None:
    agreed = contracts_of([Contract(tuple(pattern), Profile, migrate=store_contracts.split)])
    assert agreed is not None

    below = [prefix + rest for n in range(4) for rest in product("abc", repeat=n) if prefix + rest]

    assert agreed.migrate_below(prefix) == any(means(tuple(pattern), namespace) for namespace in below)


@pytest.mark.parametrize("make", [MemoryBackend, lambda: SqliteBackend(None)])
def test_words_and_vectors_are_those_of_the_value_as_it_was_written(make: Callable[[], Backend]) -> None:
    """Also where the item is filed by a later program: in another language, read one by one, or anew."""
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, float(len(text))] for text in texts]

    backend = make()
    BackendStore(backend, codec_of(None, contracts=[FIRST])).put(ADA, "me", {"name": "Ada Love"})
    index: Any = {"language": "german", "embed": embed, "dims": 2, "fields": ["name", "first", "tags[*]"]}
    store = BackendStore(backend, codec_of(index, contracts=[SECOND]))

    for _ in ("read one by one", "filed anew"):
        found = store.search((), query='"ada love"', mode="text")
        assert [item.value["first"] for item in found] == ["Ada"]
        assert store.search((), query="from", mode="text") == []
        store.reindex()
    assert set(asked) == {"Ada Love"}
    assert [item.value["last"] for item in store.search((), query="x", mode="vector")] == ["Love"]
    store.put(ADA, "me", {"first": "Ada", "last": "", "tags": ["from now on"]})
    store.revert(since=store.history(ADA, "me")[1].revision)
    assert store.search((), query="from", mode="text") == []
    assert len(store.search((), query="love", mode="text")) == 1
    backend.close()


def test_an_item_is_what_an_export_says_only_if_it_is_of_that_version() -> None:
    with InMemoryStore(contracts=[FIRST]) as first, InMemoryStore() as other:
        first.put(ADA, "me", {"name": "Ada"})
        lines = list(first.export())
        plain = [{name: part for name, part in line.items() if name != "contract"} for line in lines]
        assert other.import_(plain).written == 1

        assert other.import_(lines).written == 1
        assert other.history(ADA, "me")[0].contract == 1


# ---- marks


@given(st.integers(0, MOST), st.binary())
def test_a_version_in_front_of_a_text_comes_back(version: int, text: bytes) -> None:
    text += b"}"
    stored = marked(version, text)

    assert taken_apart(stored) == (version, text)
    assert stored.split() == text.split()


@pytest.mark.parametrize(
    "damaged", [b"{} ", b"{} \t", b"{}" + b"\r" * 16, b"{}" + b"\t" * 17, b"{}" + b"\t" * 400]
)
def test_a_mark_that_nobody_made_is_damage(damaged: bytes) -> None:
    with pytest.raises(ValueError, match="version"):
        taken_apart(damaged)
    with pytest.raises(EncodingError, match="damaged"):
        ItemCodec(contracts=contracts_of([FIRST])).decode(ME, "k", damaged)


def test_what_is_under_no_contract_is_stored_as_ever() -> None:
    plain = ItemCodec(contracts=contracts_of([FIRST]))

    assert plain.encode(("notes",), "k", {"a": 1}) == b'{"a":1}'
    assert plain.encode(ADA, "k", {"name": "a"}) == b'{"name":"a"}\t'


# ---- in a graph


def graph_of(node: Callable[..., Any]) -> Any:
    graph = StateGraph(dict)
    graph.add_node("node", node)
    graph.add_edge(START, "node")
    return graph


@pytest.mark.parametrize("url", QUICK, indirect=True)
@pytest.mark.parametrize("how", ["put", "batch", "update", "global", "direct"])
def test_a_node_that_breaks_a_contract_fails_and_leaves_nothing(url: str, how: str) -> None:
    wrong: Any = {"name": 5}
    with connect(url, contracts=[FIRST]) as db:

        def node(state: dict[str, Any], runtime: Runtime[Any]) -> None:
            store: Any = runtime.store
            store.put(ADA, "before", {"name": "fine"})
            match how:
                case "put":
                    store.put(ADA, "me", wrong)
                case "batch":
                    store.put_many([(ADA, "other", {"name": "x"}), (ADA, "me", wrong)])
                case "update":
                    store.update(ADA, "me", lambda value: wrong)
                case "global":
                    db.store.put(ADA, "me", wrong)
                case _:
                    store.direct.put(ADA, "me", wrong)

        compiled = graph_of(node).compile(db)
        with pytest.raises(ContractError, match=r"value\.name"):
            compiled.invoke({}, {"configurable": {"thread_id": "t"}})

        assert db.store.search(()) == []


def test_an_update_that_breaks_its_contract_only_when_the_step_commits_fails_its_task() -> None:
    """The function is applied again to what then stands."""
    with connect("memory://", contracts=[FIRST]) as db:

        def node(state: dict[str, Any], store: Any) -> None:
            store.update(
                ADA,
                "me",
                lambda value: {"name": (value or {}).get("name", "x"), "age": (value or {}).get("age", 0)},
            )
            BackendStore(db.backend).direct.put(ADA, "me", {"name": 7})  # somebody without contracts

        with pytest.raises(ContractError):
            graph_of(node).compile(db).invoke({}, {"configurable": {"thread_id": "t"}})

        assert BackendStore(db.backend).search(())[0].value == {"name": 7}


def test_a_task_reads_what_it_staged_and_what_is_older_alike() -> None:
    seen: list[Any] = []
    with connect("memory://", contracts=[FIRST]) as db:
        db.store.put(ADA, "old", {"name": "Old One"})
        newer = BackendStore(db.backend, codec_of(None, contracts=[SECOND]))

        def node(state: dict[str, Any], store: Any) -> None:
            store.put(ADA, "new", {"first": "N", "last": "", "tags": []})
            store.update(ADA, "old", lambda value: {**value, "age": 1})
            seen.extend(item.value["first"] for item in store.search(ADA))

        graph_of(node).compile(checkpointer=db.checkpointer, store=newer).invoke(
            {}, {"configurable": {"thread_id": "t"}}
        )

        assert seen == ["Old", "N"]
        item = newer.get(ADA, "old")
        assert item is not None
        assert item.value == {"first": "Old", "last": "One", "tags": ["from 1"], "age": 1}


def test_a_scope_tells_its_own_namespace() -> None:
    with InMemoryStore(contracts=[FIRST]) as store:
        scope = store.scoped(("users", "ada"))
        with pytest.raises(ContractError) as raised:
            scope.put(("profile",), "me", {"nobody": 1})

        assert raised.value.namespace == ("profile",)
        assert "users" not in str(raised.value)
        with pytest.raises(NotImplementedError):
            scope.migrate_contracts()


# ---- rewriting


def test_what_others_write_while_items_are_rewritten_is_theirs(
    open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = open_([FIRST])
    for n in range(5):
        first.put(ADA, str(n), {"name": f"name{n}"})
    store = open_([SECOND])
    calls: list[str] = []

    def meddling(value: dict[str, Any], version: int) -> dict[str, Any]:
        calls.append(value["name"])
        if len(calls) == 3:
            first.put(ADA, "1", {"name": "others"})
            first.delete(ADA, "2")
        return store_contracts.split(value, version)

    meddler = open_([Contract(EVERY, store_contracts.Newer, version=2, migrate=meddling)])
    done = meddler.migrate_contracts()

    assert done.rewritten == 4
    assert {item.key: item.value["first"] for item in open_([]).search(ADA)} == {
        "0": "name0", "1": "others", "3": "name3", "4": "name4",
    }  # fmt: skip
    assert store.migrate_contracts().rewritten == 0


def test_rewriting_that_was_stopped_goes_on_where_it_was(
    open_: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewriting, "_BATCH", 2)
    first = open_([FIRST])
    for n in range(5):
        first.put(ADA, str(n), {"name": f"name{n}"})
    store = open_([SECOND])

    def stop(done: rewriting.Migrated) -> None:
        if done.rewritten == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.migrate_contracts(progress=stop)
    assert open_([]).count((), filter={"first": {"$exists": True}}) == 4

    assert store.migrate_contracts().rewritten == 1


def test_a_rewritten_item_ends_when_it_did_before() -> None:
    backend = MemoryBackend()
    first = InMemoryStore(backend=backend, contracts=[FIRST], ttl={})
    first.put(ADA, "me", {"name": "A"}, ttl=60)
    before = first.search(ADA, refresh_ttl=False)[0]
    store = InMemoryStore(backend=backend, contracts=[SECOND], ttl={})

    store.migrate_contracts()

    after = store.search(ADA, refresh_ttl=False)[0]
    assert (after.expires_at, after.ttl) == (before.expires_at, 60)
    assert after.version != before.version


def test_rewriting_asks_the_model_for_the_new_texts() -> None:
    asked: list[str] = []

    def embed(texts: Sequence[str]) -> list[list[float]]:
        asked.extend(texts)
        return [[1.0, float(len(text))] for text in texts]

    index: Any = {"embed": embed, "dims": 2, "fields": ["name", "first"]}
    backend = MemoryBackend()
    InMemoryStore(codec=codec_of(index, contracts=[FIRST]), backend=backend).put(ADA, "me", {"name": "Ada L"})
    store = InMemoryStore(codec=codec_of(index, contracts=[SECOND]), backend=backend)
    assert store.search((), query="Ada L", mode="vector")[0].value["first"] == "Ada"
    store.reindex()
    assert set(asked) == {"Ada L"}

    store.migrate_contracts()

    assert "Ada" in asked
