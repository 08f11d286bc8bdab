"""Large tables in partitions that an operator made by hand: all promises hold, and what is sought is sought in each partition's index.

A way of keeping tables that `docs/explanation/scale.md` speaks of, not an option of ours.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, TypedDict

import pytest

pytest.importorskip("psycopg")

import perdure
from perdure import admin
from perdure.checkpoint.postgres import PostgresSaver
from perdure.codec import encode_namespace
from perdure.graph import START, StateGraph
from perdure.storage.postgres import PostgresBackend
from perdure.storage.postgres.place import place_of
from perdure.storage.postgres.statements import qualified
from perdure.storage.postgres.talking import say
from perdure.store.postgres import PostgresStore
from perdure.testing import backends, savers, stores
from perdure.testing.partitioned import partition
from storage.postgres.test_statements import BLOCKS, plan_of

PARTS = 4


@pytest.fixture
def urls(postgres_urls: Callable[[], str], postgres_admin: Any) -> Callable[[], str]:
    """Each call gives the URL of an empty schema whose large tables are partitioned."""

    def new() -> str:
        url = postgres_urls()
        PostgresBackend(url).close()
        partition(postgres_admin, place_of(url).schema, PARTS)
        return url

    return new


def name(check: object) -> str:
    return getattr(check, "__name__", "").removeprefix("check_")


@pytest.mark.slow
@pytest.mark.parametrize("check", backends.CHECKS, ids=name)
def test_a_backend_keeps_the_contract(
    check: Callable[[backends.Make], None], urls: Callable[[], str]
) -> None:
    check(lambda: PostgresBackend(urls()))


@pytest.mark.slow
@pytest.mark.parametrize("check", [*savers.CHECKS, *savers.UPKEEP_CHECKS], ids=name)
def test_a_saver_conforms(check: Callable[[Any], None], urls: Callable[[], str]) -> None:
    with PostgresSaver.from_conn_string(urls()) as saver:
        check(saver)


@pytest.mark.slow
@pytest.mark.parametrize("check", [*stores.CHECKS, *stores.VERSION_CHECKS], ids=name)
def test_a_store_conforms(check: Callable[[Any], None], urls: Callable[[], str]) -> None:
    with PostgresStore.from_conn_string(urls()) as store:
        check(store)


class State(TypedDict, total=False):
    said: Annotated[list[str], operator.add]


def test_threads_and_memory_are_written_found_pruned_forgotten_and_checked(urls: Callable[[], str]) -> None:
    url = urls()
    with perdure.connect(url) as db:

        def hear(state: State, *, store: Any) -> State:
            store.put(("users", "ada"), f"n{len(state['said'])}", {"text": f"likes {state['said'][-1]}"})
            return {"said": ["yes"]}

        graph = StateGraph(State).add_node("hear", hear).add_edge(START, "hear").compile(db)
        threads: list[Any] = [{"configurable": {"thread_id": f"t{n}"}} for n in range(8)]
        for thread in threads:
            for word in ("tea", "jam"):
                graph.invoke({"said": [word]}, thread)
        assert [hit.key for hit in db.store.search(("users",), query="jam")] == ["n3"]
        assert len(list(db.checkpointer.list(threads[0]))) == 6
        db.checkpointer.prune([thread["configurable"]["thread_id"] for thread in threads])
        assert [graph.get_state(thread).values["said"] for thread in threads] == [
            ["tea", "yes", "jam", "yes"]
        ] * 8
        assert admin.check(db) == []
        sizes = {table.name: table for table in admin.stats(db.backend).tables}
        assert (sizes["checkpoints"].rows, sizes["history"].rows) == (8, 16)
        assert all(
            (sizes[name].bytes or 0) >= PARTS * 8192 for name in ("checkpoints", "segments", "history")
        )
        assert db.store.forget(("users", "ada")).counts["history"] == 16
        assert admin.check(db, repair=True) == []


@pytest.fixture(scope="module")
def connection(one_schema: str, postgres_admin: Any) -> Iterator[Any]:
    backend = PostgresBackend(one_schema)
    partition(postgres_admin, place_of(one_schema).schema, PARTS)
    with perdure.connect(one_schema) as db:
        db.store.put(("a",), "k", {"text": "tea"})
        graph = (
            StateGraph(State)
            .add_node("node", lambda state: {"said": ["yes"]})
            .add_edge(START, "node")
            .compile(db)
        )
        for n in range(5):
            graph.invoke({"said": [f"tea {n} " * 50] * 20}, {"configurable": {"thread_id": "t"}})
    connection = backend._line.take()
    connection._perdure_schema = place_of(one_schema).schema
    yield connection
    backend._line.give(connection)
    backend.close()


@pytest.mark.parametrize("block", BLOCKS.texts)
def test_a_block_seeks_in_each_partition(connection: Any, block: str) -> None:
    """As in a table that is whole: by an index, from its first column on."""
    text = BLOCKS.texts[block]
    if text.split()[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"):
        return
    if "Scan:" in BLOCKS.comments[block] or "All rows go" in BLOCKS.comments[block]:
        return
    schema = connection._perdure_schema
    first = {
        index: column.strip("()")
        for index, column in connection.execute(
            "SELECT c.relname::text, pg_get_indexdef(c.oid, 1, true) FROM pg_class c WHERE c.relkind = 'i' AND c.relnamespace = $1::regnamespace",
            (schema,),
        ).fetchall()
    }
    of_partitions = [
        node for node in plan_of(connection, block, text=qualified(text, schema).encode())
        if re.fullmatch(r"perdure_\w+_p\d+", node.get("Relation Name", "")) and "Scan" in node["Node Type"]
    ]  # fmt: skip
    through = [
        (node["Relation Name"], node["Node Type"], node.get("Index Cond"))
        for node in of_partitions
        if node["Node Type"] == "Seq Scan"
        or (
            node.get("Index Name")
            and first[node["Index Name"]] not in node.get("Index Cond", "").replace("(", "").replace(")", "")
            and node["Above"] not in ("Limit",)
        )
    ]
    assert through == []


@pytest.mark.parametrize(
    ("block", "values", "table"),
    [
        ("head", [b"t", b""], "checkpoints"),
        ("segments", [b"t", "its log", 1 << 32], "segments"),
        ("item", [encode_namespace(("a",)), b"k", 2_000_000_000_000_000], "versions"),
        ("postings", [encode_namespace(("a",)), encode_namespace(("b",)), b"tea"], "postings"),
    ],
)
def test_what_is_asked_of_one_thread_item_or_word_looks_into_one_partition(
    connection: Any, block: str, values: list[bytes | str | int], table: str
) -> None:
    schema = connection._perdure_schema
    logs = qualified("SELECT log FROM perdure_logs LIMIT 1", schema)
    ((log,),) = connection.execute(logs).fetchall()
    given = [log if one == "its log" else one for one in values]
    shown = ", ".join(f"'\\x{one.hex()}'" if isinstance(one, bytes) else str(one) for one in given)
    say(connection, f"PREPARE looked AS {qualified(BLOCKS.texts[block], schema)}".encode())
    try:
        ((plan,),) = connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE looked({shown})").fetchall()
    finally:
        say(connection, b"DEALLOCATE looked")
    waiting, looked_into = [plan[0]["Plan"]], list[str]()
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", ())
        name = node.get("Relation Name", "")
        if re.fullmatch(rf"perdure_{table}_p\d+", name) and node["Actual Loops"]:
            looked_into.append(name)
    assert len(looked_into) == 1
