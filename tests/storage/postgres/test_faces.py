"""How Postgres savers and stores are opened: by URL, by connection, by pool, in both colours, together."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypedDict

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

import psycopg
from psycopg_pool import AsyncConnectionPool, ConnectionPool

import perdure
from perdure.checkpoint.postgres import AsyncPostgresSaver, PostgresSaver
from perdure.errors import PerdureError, QueryError, StorageError, Unavailable
from perdure.graph import START, StateGraph
from perdure.storage.late_opening import LateOpening
from perdure.storage.memory import MemoryBackend
from perdure.storage.opened import Opened
from perdure.storage.postgres.given import place_given, place_with
from perdure.storage.postgres.place import place_of
from perdure.store.postgres import AsyncPostgresStore, PostgresStore
from perdure.testing.proxy import Proxy
from perdure.testing.savers import chain, config_of

NOTES = ("notes",)
SECRET = "hunter2"


class State(TypedDict, total=False):
    n: int


def plain(url: str) -> tuple[str, str]:
    """The URL as psycopg takes it, whose search_path begins with the schema."""
    base, _, _ = url.partition("?schema=")
    return f"{base}?options=-csearch_path%3D{place_of(url).schema}", place_of(url).schema


def backend_of(face: Any) -> Any:
    return face.__perdure_backend__.backend


def with_password(url: str) -> str:
    return url.replace("postgres@", f"postgres:{SECRET}@", 1)


# -- URLs ----------------------------------------------------------------------------------------------------------------


def test_what_was_put_is_there_when_the_database_is_opened_again(postgres_url: str) -> None:
    with PostgresSaver.from_conn_string(postgres_url, pipeline=True) as saver:
        chain(saver, 3)
    with PostgresStore.from_conn_string(postgres_url, pipeline=True) as store:
        store.put(NOTES, "k", {"n": 1})

    with PostgresSaver.from_conn_string(postgres_url) as saver:
        assert len([*saver.list(None)]) == 3
    with PostgresStore.from_conn_string(postgres_url) as store:
        assert store.get(NOTES, "k").value == {"n": 1}  # type: ignore[union-attr]


@pytest.mark.parametrize("kind", [PostgresSaver, AsyncPostgresSaver])
async def test_a_saver_is_opened_with_either_kind_of_block(kind: Any, postgres_url: str) -> None:
    with kind.from_conn_string(postgres_url) as saver:
        chain(saver, 1)
        found = saver.get_tuple(config_of())
    async with kind.from_conn_string(postgres_url) as saver:
        assert await saver.aget_tuple(config_of()) == found == saver.get_tuple(config_of())


@pytest.mark.parametrize("kind", [PostgresStore, AsyncPostgresStore])
async def test_a_store_is_opened_with_either_kind_of_block(kind: Any, postgres_url: str) -> None:
    with kind.from_conn_string(postgres_url) as store:
        store.put(NOTES, "k", {"n": 1})
    async with kind.from_conn_string(postgres_url) as store:
        await store.aput(NOTES, "l", {"n": 2})
        assert [item.key for item in await store.asearch(NOTES)] == ["l", "k"]


async def test_setup_may_be_called_or_not_and_again(postgres_urls: Callable[[], str]) -> None:
    saver, store = PostgresSaver(postgres_urls()), PostgresStore(postgres_urls())
    for _ in range(2):
        saver.setup()
        store.setup()
    later, sooner = AsyncPostgresSaver(postgres_urls()), AsyncPostgresStore(postgres_urls())
    await sooner.setup()
    await sooner.setup()
    await sooner.aput(NOTES, "k", {})
    assert await later.aget_tuple(config_of()) is None  # never set up
    await later.setup()
    for face in (saver, store):
        face.close()
    await later.aclose()
    await sooner.aclose()


def test_a_url_with_pairs_is_taken_as_well(postgres_url: str) -> None:
    info = psycopg.conninfo.conninfo_to_dict(postgres_url.partition("?")[0])
    pairs = " ".join(f"{key}={value}" for key, value in info.items())

    with PostgresStore.from_conn_string(f"{pairs} schema={place_of(postgres_url).schema}") as store:
        store.put(NOTES, "k", {})
    with PostgresStore.from_conn_string(postgres_url) as store:
        assert store.get(NOTES, "k") is not None


def test_a_database_that_cannot_be_opened_is_an_error_on_entering_and_a_wrong_url_before() -> None:
    opening = PostgresSaver.from_conn_string("postgresql://127.0.0.1:1/d")
    with pytest.raises(Unavailable, match="does not answer"):
        opening.__enter__()
    with pytest.raises(ValueError, match="did you mean 'pool_max'"):
        PostgresSaver.from_conn_string("postgresql://127.0.0.1:1/d?poolmax=1")
    with pytest.raises(ValueError, match="did you mean 'pool_max'"):
        PostgresStore.from_conn_string("postgresql://127.0.0.1:1/d?poolmax=1")


def test_after_a_failure_to_open_the_next_use_tries_again(postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        store = PostgresStore(proxy.through(postgres_url))
        proxy.refuse()
        with pytest.raises(Unavailable):
            store.put(NOTES, "k", {})

        proxy.forgive()
        store.put(NOTES, "k", {})

        assert store.get(NOTES, "k") is not None
        store.close()


def test_many_threads_at_once_open_once() -> None:
    opened = Opened(MemoryBackend(), lambda: None)
    calls: list[int] = []
    taken: list[Opened] = []

    def opener() -> Opened:
        calls.append(1)
        time.sleep(0.05)
        return opened

    late = LateOpening(opener)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: late.open(taken.append), range(8)))

    assert (len(calls), taken) == (1, [opened])


# -- connections and pools -----------------------------------------------------------------------------------------------


def test_a_connection_s_database_is_opened_anew_and_the_connection_left_alone(postgres_url: str) -> None:
    url, schema = plain(postgres_url)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TEMP TABLE theirs (n int)")  # a transaction of theirs is open
        saver, store = PostgresSaver(connection), PostgresStore(connection)

        chain(saver, 2)
        store.put(NOTES, "k", {})

        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        connection.rollback()
        count = f"SELECT count(*) FROM {schema}.perdure_checkpoints"  # noqa: S608 - a name of the test's own
        assert connection.execute(count).fetchone() == (2,)
        saver.close()
        store.close()
        assert not connection.closed


async def test_a_connection_for_event_loops_and_pools_open_or_not_give_their_parameters(
    postgres_url: str,
) -> None:
    url, schema = plain(postgres_url)
    with PostgresStore.from_conn_string(postgres_url) as store:
        store.put(NOTES, "k", {})
    kwargs = {"autocommit": True, "prepare_threshold": 0, "row_factory": psycopg.rows.dict_row}
    connection = await psycopg.AsyncConnection.connect(url)
    pools: list[Any] = [
        AsyncConnectionPool(url, min_size=1, max_size=3, open=False, kwargs=kwargs),
        ConnectionPool(url, min_size=1, max_size=3, timeout=7, max_idle=8, open=False, kwargs=kwargs),
    ]
    for given in (connection, *pools):
        place = place_given(given)
        assert place.schema == schema
        found = AsyncPostgresStore(given)
        assert await found.aget(NOTES, "k") is not None
        await found.aclose()
    assert (place.pool_min, place.pool_max, place.pool_timeout, place.pool_idle) == (1, 3, 7.0, 8.0)
    await connection.close()


def test_a_connection_that_prepares_nothing_says_that_a_pooler_is_between(postgres_url: str) -> None:
    url, _ = plain(postgres_url)
    with psycopg.connect(url, prepare_threshold=None) as connection:
        assert place_given(connection).prepare == "off"
    assert place_given(ConnectionPool(url, open=False, kwargs={"prepare_threshold": None})).prepare == "off"
    assert place_given(ConnectionPool(url, open=False)).prepare == "auto"


def test_a_connection_s_password_is_used_and_not_shown(postgres_url: str) -> None:
    url, _ = plain(with_password(postgres_url))
    with psycopg.connect(url) as connection:
        place = place_given(connection)

    assert SECRET in place.conninfo
    assert SECRET not in f"{place!r} {place.name}"


def test_what_is_no_connection_is_refused_with_what_to_give(postgres_url: str) -> None:
    url, _ = plain(postgres_url)
    wrong: Any = object()
    for kind in (PostgresSaver, AsyncPostgresSaver, PostgresStore, AsyncPostgresStore):
        with pytest.raises(ValueError, match=r"builtins\.object is no connection of psycopg 3 and no pool"):
            kind(wrong)
    with psycopg.connect(url) as connection:
        pass
    with pytest.raises(StorageError, match="It may be closed"):
        PostgresSaver(connection)
    with pytest.raises(ValueError, match="asks a function for its parameters"):
        PostgresSaver(ConnectionPool(lambda: url, open=False))


def test_a_pool_config_is_read_and_a_wrong_one_refused() -> None:
    place = place_with(
        "postgresql://h/d?pool_max=99&sslmode=disable",
        {"min_size": 2, "max_size": 5, "timeout": 1.5, "kwargs": {"sslmode": "require", "autocommit": True}},
    )
    assert (place.pool_min, place.pool_max, place.pool_timeout) == (2, 5, 1.5)
    assert "sslmode='require'" in place.conninfo
    assert place_with("postgresql://h/d", {"max_size": None}).pool_max == 10

    with pytest.raises(ValueError, match="'max_sise', which is not known: did you mean 'max_size'"):
        place_with("postgresql://h/d", {"max_sise": 3})
    with pytest.raises(ValueError, match="did you mean 'sslmode'"):
        place_with("postgresql://h/d", {"kwargs": {"sslmodi": "x"}})


def test_an_index_of_vectors_in_the_database_is_checked_and_an_unknown_one_refused(postgres_url: str) -> None:
    def embed(texts: Any) -> list[list[float]]:
        return [[1.0, float(len(text))] for text in texts]

    index: Any = {"dims": 2, "embed": embed, "distance_type": "cosine",
                  "ann_index_config": {"kind": "hnsw", "vector_type": "halfvec", "m": 16}}  # fmt: skip
    with PostgresStore.from_conn_string(postgres_url, index=index) as store:
        store.put(NOTES, "k", {"text": "tea"})
        assert [item.key for item in store.search(NOTES, query="tea")] == ["k"]
    for wrong in ({"kind": "tree"}, {"knd": "hnsw"}, "hnsw"):
        with pytest.raises(QueryError, match="ann_index_config"):
            PostgresStore.from_conn_string(postgres_url, index={**index, "ann_index_config": wrong})


# -- together ------------------------------------------------------------------------------------------------------------


def test_faces_on_one_schema_share_a_backend_however_they_name_it(postgres_urls: Callable[[], str]) -> None:
    url = postgres_urls()
    other, _ = plain(url)
    with (
        PostgresSaver.from_conn_string(url) as saver,
        PostgresStore.from_conn_string(with_password(other)) as store,
        perdure.connect(url) as db,
        PostgresStore.from_conn_string(postgres_urls()) as elsewhere,
    ):
        assert backend_of(saver) is backend_of(store) is db.backend
        assert backend_of(elsewhere) is not db.backend

        saver.close()
        store.put(NOTES, "k", {})  # the others have it open


def test_a_step_and_its_memory_are_one_commit(postgres_url: str) -> None:
    saver, store = PostgresSaver(postgres_url), PostgresStore(postgres_url)

    def node(state: State) -> State:
        store.put(NOTES, "k", {"n": state["n"]})  # the very object, not the one that is handed to nodes
        assert db.store.direct.get(NOTES, "k") is None
        return {"n": state["n"] + 1}

    with perdure.connect(postgres_url) as db:
        drawing: Any = StateGraph(State).add_node("node", node).add_edge(START, "node")
        graph = drawing.compile(checkpointer=saver, store=store)

        assert graph.invoke({"n": 1}, config_of()) == {"n": 2}

        assert db.store.get(NOTES, "k").value == {"n": 1}  # type: ignore[union-attr]
        origin = db.store.history(NOTES, "k")[0].origin
        assert origin is not None
        assert origin.node == "node"
    saver.close()
    store.close()


def test_a_store_that_was_not_opened_yet_is_staged_in_a_task_of_its_database(postgres_url: str) -> None:
    stray = PostgresStore(postgres_url)
    with perdure.connect(postgres_url) as db:

        def node(state: State) -> State:
            stray.put(NOTES, "k", {})
            raise ValueError("not now")

        graph: Any = StateGraph(State).add_node("node", node).add_edge(START, "node").compile(db)
        with pytest.raises(ValueError, match="not now"):
            graph.invoke({"n": 1}, config_of())

        assert db.store.get(NOTES, "k") is None
    stray.close()


def test_a_copy_with_an_allowlist_shares_the_database_and_does_not_close_it(postgres_url: str) -> None:
    saver = PostgresSaver(postgres_url)
    copy = saver.with_allowlist([State])
    chain(copy, 1)

    assert saver.get_tuple(config_of()) is not None
    backend = backend_of(saver)
    saver.close()
    assert backend.closed


async def test_opening_keeps_no_event_loop_waiting(postgres_url: str) -> None:
    with Proxy.of(postgres_url) as proxy:
        store = AsyncPostgresStore(proxy.through(postgres_url))
        proxy.hold()
        writing = asyncio.ensure_future(store.aput(NOTES, "k", {}))
        for _ in range(5):
            began = time.monotonic()
            await asyncio.sleep(0.01)
            assert time.monotonic() - began < 5
        assert not writing.done()

        proxy.forgive()
        await writing

        assert await store.aget(NOTES, "k") is not None
        await store.aclose()


def test_a_closed_face_says_so(postgres_url: str) -> None:
    saver, store = PostgresSaver(postgres_url), PostgresStore(postgres_url)
    saver.close()
    store.close()

    with pytest.raises(StorageError, match="Open it again"):
        saver.setup()
    with pytest.raises(StorageError, match="Open it again"):
        store.setup()


def test_without_the_driver_the_names_are_there_and_their_use_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None\n"
        "import perdure\n"
        "for act in (lambda: perdure.PostgresSaver.from_conn_string('postgresql://h/d'), lambda: perdure.PostgresStore(object()),\n"
        "            lambda: perdure.connect('postgresql://h/d')):\n"
        "    try: act()\n"
        "    except perdure.PerdureError as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    said = done.stdout.splitlines()
    assert len(said) == 3
    assert all("pip install 'perdure[postgres]'" in line for line in said)


# -- connect -------------------------------------------------------------------------------------------------------------


def test_a_database_shows_its_place_and_no_password(postgres_url: str) -> None:
    with perdure.connect(with_password(postgres_url)) as db:
        db.store.put(NOTES, "k", {})

        shown = f"{db!r} {db.name} {db.backend!r} {db.store!r} {db.checkpointer!r}"

        assert place_of(postgres_url).schema in shown
        assert SECRET not in shown


def test_a_wrong_url_of_connect_is_refused_without_its_password() -> None:
    for url in (
        f"postgresql://u:{SECRET}@h/d?schme=x",
        f"host=h password={SECRET}",
        f"postgresql+asyncpg://u:{SECRET}@h/d",
    ):
        with pytest.raises((ValueError, PerdureError)) as caught:
            perdure.connect(url)
        assert SECRET not in str(caught.value)


def test_an_encrypted_database_is_refused_without_its_key(postgres_url: str) -> None:
    pytest.importorskip("cryptography")
    with perdure.connect(postgres_url, encryption=b"k" * 32) as db:
        db.store.put(NOTES, "k", {"n": 1})

    with pytest.raises(StorageError, match="key"):
        perdure.connect(with_password(postgres_url))
    with pytest.raises(StorageError, match="key") as caught, PostgresStore.from_conn_string(postgres_url):
        pass
    assert caught.value.where == place_of(postgres_url).name
    with perdure.connect(postgres_url, encryption=b"k" * 32) as db:
        assert db.store.get(NOTES, "k").value == {"n": 1}  # type: ignore[union-attr]
