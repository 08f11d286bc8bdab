"""Filters that a database preselects: by SQL, by an index that was declared. Answers stay those of the reference."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NotRequired

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import TypedDict

import perdure
from databases import POSTGRES, UNSHRUNK
from perdure import Contract
from perdure.errors import ContractError, EncodingError, PerdureError, QueryError
from perdure.storage.filter_tree import parse_filter
from perdure.storage.item_store import ItemStore
from perdure.storage.memory import MemoryBackend
from perdure.storage.preselect import declared_paths, preselections
from perdure.storage.sqlite import SqliteBackend
from perdure.storage.sqlite.preselecting import USABLE
from perdure.store.face import BackendStore, codec_of
from perdure.store.memory import InMemoryStore
from perdure.store.postgres import PostgresStore
from perdure.store.sqlite import SqliteStore
from perdure.testing import FakeClock
from storage import child

ME = ("users", "ada")
on_both = pytest.mark.parametrize("url", ["sqlite", POSTGRES], indirect=True)
needs_json = pytest.mark.skipif(not USABLE, reason="this SQLite is older than 3.38 and may know no JSON")

LONG = "long " * 60
hard_numbers = st.sampled_from(
    [
        0,
        -0.0,
        1,
        1.0,
        0.1 + 0.2,
        0.3,
        5e-324,
        1e22,
        1e23,
        2**53,
        2**53 + 1,
        float(2**53),
        2**63,
        -(2**63),
        2**63 - 1,
        2**64,
        10**400,
        -(10**400),
        1.7976931348623157e308,
        123456789.12345679,
        1e-07,
    ]
)
numbers = hard_numbers | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
texts = st.sampled_from(
    [
        "",
        "a",
        "b",
        "A",
        "1",
        "a\x00",
        "a\x00b",
        "\x00",
        LONG,
        LONG + "x",
        LONG + "y",
        "�",
        "é",
        "\uffff",
        "\U0010ffff",
        '"',
        "\\",
        "\n",
        "null",
        "true",
        "[1]",
        '{"a":1}',
        "\x7f",
        "' OR 1=1 --",
    ]
) | st.text(max_size=3)
scalars = st.none() | st.booleans() | numbers | texts
inner = (
    scalars
    | st.lists(scalars, max_size=2)
    | st.dictionaries(st.sampled_from(["b", "b.c", "[0]"]), scalars, max_size=2)
)
values = st.dictionaries(st.sampled_from(["a", "a.b", "a.b.c", "a[0]", "b", "'", "x y"]), inner, max_size=3)
PATHS = ["a", "a.b", "a.b.c", "a[0]", "a[-1]", "b", "'", "x y"]
bounds = st.sampled_from(["$gt", "$gte", "$lt", "$lte"])
comparable = numbers | texts | st.sampled_from([math.inf, -math.inf])
conditions = (
    scalars
    | st.dictionaries(bounds, comparable, min_size=1, max_size=2)
    | st.fixed_dictionaries({"$in": st.lists(scalars, max_size=4)})
    | st.fixed_dictionaries({"$ne": scalars})
    | st.fixed_dictionaries({"$eq": scalars})
)
filters = st.dictionaries(st.sampled_from(PATHS), conditions, min_size=1, max_size=2)


def opened(path: Path, indexes: list[str]) -> Any:
    return SqliteStore.from_conn_string(str(path), indexes=indexes)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(several=st.lists(values, max_size=12), asked=st.lists(filters, min_size=1, max_size=6))
def test_what_is_preselected_changes_no_answer(
    several: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    with (
        InMemoryStore() as reference,
        SqliteStore.from_conn_string(":memory:") as plain,
        SqliteStore.from_conn_string(":memory:", indexes=PATHS) as declared,
    ):
        check_answers((reference, plain, declared), several, asked)


@settings(
    max_examples=120,
    deadline=None,
    phases=UNSHRUNK,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(several=st.lists(values, max_size=12), asked=st.lists(filters, min_size=1, max_size=6))
def test_what_is_preselected_on_postgres_changes_no_answer(
    postgres: BackendStore, several: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    postgres.delete_prefix(())
    with InMemoryStore() as reference:
        check_answers((reference, postgres), several, asked)


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[BackendStore]:
    """With all of the paths declared."""
    with PostgresStore.from_conn_string(postgres_url, indexes=PATHS) as store:
        yield store


def check_answers(
    stores: Sequence[BackendStore], several: list[dict[str, Any]], asked: list[dict[str, Any]]
) -> None:
    """All answer as the first does, also when half of the items were written again."""
    half = len(several) // 2
    for store in stores:
        store.put_many([((*ME, str(n % 3)), f"k{n}", value) for n, value in enumerate(several)])
        store.put_many([((*ME, str(n % 3)), f"k{n}", several[-1 - n]) for n in range(half)])
    reference, declared = stores[0], stores[-1]
    for filter in asked:
        for prefix in (ME, (*ME, "1"), ()):
            wanted = keys(reference, prefix, filter=filter)
            for store in stores[1:]:
                assert keys(store, prefix, filter=filter) == wanted
                assert store.count(prefix, filter=filter) == len(wanted)
            assert keys(declared, prefix, filter=filter, limit=1, offset=1) == wanted[1:2]
    gone = [store.delete_prefix(ME, filter=asked[0]) for store in stores]
    assert gone == [gone[0]] * len(stores)
    assert [keys(store, ME) for store in stores] == [keys(reference, ME)] * len(stores)


def keys(store: ItemStore, prefix: tuple[str, ...], **options: Any) -> list[str]:
    return [item.key for item in store.search(prefix, **{"limit": 1000, **options})]


def test_equality_narrows_more_than_a_range_and_what_cannot_narrow_is_left_out() -> None:
    def paths(filter: dict[str, Any]) -> list[str]:
        return [one.path for one in preselections(parse_filter(filter))]

    assert paths({"n": {"$gt": 1}, "s": "open", "t": {"$in": ["a", "b"]}}) == ["s", "t", "n"]
    assert paths({"a": None}) == []
    assert paths({"a": {"$ne": 1}}) == []
    assert paths({"a[*]": 1}) == []
    assert paths({"$or": [{"a": 1}, {"b": 1}]}) == []
    assert paths({"a": "x\0"}) == []
    assert paths({"a": {"$in": ["x", None]}}) == []
    assert paths({"$and": [{"a": 1}, {"b": 1}]}) == ["a", "b"]


def test_a_filter_of_very_many_conditions_is_answered() -> None:
    value = {f"k{n}": 1 for n in range(1500)}
    many: dict[str, Any] = {
        "$and": [{"k0": {"$gte": -n}} for n in range(3000)],
        "k1": {"$in": list(range(5000))},
    }
    for opening in (
        SqliteStore.from_conn_string(":memory:"),
        SqliteStore.from_conn_string(":memory:", indexes=["k0"]),
    ):
        with opening as store:
            store.put(ME, "k", value)
            store.put(ME, "l", {**value, "k1499": 2})
            for filter in ({**value}, {**many, "k1499": 1}):
                assert keys(store, ME, filter=filter) == ["k"]
                assert store.count(ME, filter=filter) == 1
                assert store.count((), filter=filter) == 1


class Anything(BaseModel, extra="allow"):
    """What older and newer programs wrote."""


class Named(TypedDict):
    name: str
    n: NotRequired[int]


def with_a_name(value: dict[str, Any], version: int) -> dict[str, Any]:
    return {**value, "name": f"{value['name']} {version}"}


PLAIN, MIGRATED = ("plain", "x"), ("migrated", "x")
READER = [Contract(PLAIN, Named), Contract(MIGRATED, Named, migrate=with_a_name)]
WRITERS = {version: [Contract(("**",), Anything, version=version)] for version in (1, 2)}
written = st.tuples(
    st.sampled_from([PLAIN, PLAIN, MIGRATED, ("free",)]),
    st.fixed_dictionaries(
        {}, optional={"name": st.sampled_from(["a", "b", 1, None]), "n": st.integers(0, 2)}
    ),
    st.integers(0, 2),
)
of_named = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", 1, "a 0", {"$in": ["b", 1]}, {"$exists": True}, {"$ne": "a"}]),
        "n": st.sampled_from([0, {"$gte": 1}, {"$lt": 2}, {"$nin": [1]}]),
    },
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    several=st.lists(written, max_size=8),
    asked=st.lists(of_named, min_size=1, max_size=4),
    order=st.sampled_from([None, "key", "value.n"]),
    limit=st.integers(1, 4),
)
def test_what_breaks_its_contract_is_told_of_alike_by_every_database(
    several: list[tuple[tuple[str, ...], dict[str, Any], int]],
    asked: list[dict[str, Any]],
    order: str | None,
    limit: int,
) -> None:
    """Items of several versions, under a contract that migrates, under one that does not, and under none."""
    answers: list[list[object]] = []
    with (
        closing(MemoryBackend()) as reference,
        closing(SqliteBackend(None)) as plain,
        closing(SqliteBackend(None)) as declared,
    ):
        declared.declare_paths(declared_paths(["name", "n"]))
        for backend in (reference, plain, declared):
            for number, (where, value, version) in enumerate(several):
                codec = codec_of(None, None, contracts=WRITERS.get(version))
                BackendStore(backend, codec).put(where, f"k{number}", value)
            reader = BackendStore(backend, codec_of(None, None, contracts=READER))
            answers.append([])
            for filter, prefix in product(asked, ((), PLAIN, MIGRATED)):
                listing: dict[str, Any] = {"filter": filter, "order_by": order, "limit": limit}
                answers[-1].append(told(partial(keys, reader, prefix, **listing)))
                answers[-1].append(told(partial(reader.count, prefix, filter=filter)))
    assert answers[1] == answers[0]
    assert answers[2] == answers[0]


def told(asks: Callable[[], object]) -> object:
    """The answer, or what the error is about."""
    try:
        return asks()
    except ContractError as error:
        return error.namespace, error.key, error.path, error.written_under


# ---- declared indexes


@needs_json
def test_a_declared_path_is_one_range_of_an_index(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with opened(path, ["status"]) as store:
        store.put_many([(ME, f"k{n}", {"status": "open" if n % 2 else "shut"}) for n in range(4)])
        handle = store.__perdure_backend__
        assert handle is not None
        asked: list[tuple[str, Any]] = []
        with handle.backend.read() as snapshot:
            real = snapshot._ask_text
            snapshot._ask_text = lambda text, values=(): asked.append((text, values)) or real(text, values)
            wanted = preselections(parse_filter({"status": "open"}))
            rows = snapshot.preselected(ME, wanted, None, 10)
    assert [row.key for row in rows] == ["k3", "k1"]
    text, bound = asked[-1]
    said = child.run(
        """
        import json, sqlite3
        text, bound = json.loads(sys.argv[2])
        bound = [bytes.fromhex(one[1:]) if isinstance(one, str) else one for one in bound]
        print("\\n".join(row[3] for row in sqlite3.connect(sys.argv[1]).execute("EXPLAIN QUERY PLAN " + text, bound)))
        """,
        path,
        __import__("json").dumps(
            [text, ["x" + one.hex() if isinstance(one, bytes) else one for one in bound]]
        ),
    )
    assert "(<expr>=? AND <expr>=? AND version<?)" in said, said


@needs_json
@on_both
def test_an_index_that_is_declared_later_has_what_was_there_and_knows_what_others_write(url: str) -> None:
    with perdure.connect(url) as one:
        one.store.put(ME, "old", {"status": "open"})
        with perdure.connect(url, indexes=["status"]) as declared:
            declared.store.put(ME, "mine", {"status": "open"})
            one.store.put(ME, "theirs", {"status": "open"})
            one.store.put(ME, "mine", {"status": "shut"})
            one.store.put(ME, "more", {"status": "open"})
            one.store.delete(ME, "more")
            child.run(
                """
                import perdure
                with perdure.connect(sys.argv[1]) as db:
                    db.store.put(("users", "ada"), "other process", {"status": "open"})
                """,
                url,
            )
            for reader in (one.store, declared.store):
                assert keys(reader, (), filter={"status": "open"}) == ["other process", "theirs", "old"]


@needs_json
@on_both
def test_a_dropped_index_is_gone_and_answers_stay(url: str) -> None:
    with perdure.connect(url, indexes=["status", "n"]) as db:
        db.store.put(ME, "k", {"status": "open"})
        assert keys(db.store, ME, filter={"status": "open"}) == ["k"]
        db.drop_indexes(["status", "never declared"])
        db.drop_indexes(["status"])
        assert keys(db.store, ME, filter={"status": "open"}) == ["k"]
        db.store.put(ME, "l", {"status": "open"})
        assert keys(db.store, ME, filter={"status": "open"}) == ["l", "k"]
    with perdure.connect(url, indexes=["status"]) as db:
        assert keys(db.store, ME, filter={"status": "open"}) == ["l", "k"]


@needs_json
def test_a_dropped_index_is_not_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}", indexes=["status", "n"]) as db:
        db.drop_indexes(["status"])
    names = child.run(
        """
        import sqlite3
        rows = sqlite3.connect(sys.argv[1]).execute("SELECT sql FROM sqlite_schema WHERE name GLOB 'perdure_path_*'")
        print(['"status"' in sql for (sql,) in rows])
        """,
        path,
    )
    assert names.strip() == "[False]"


@needs_json
@on_both
def test_what_has_expired_and_what_is_staged_over_are_not_listed(url: str) -> None:
    with FakeClock() as clock, perdure.connect(url, ttl={}, indexes=["status"]) as db:
        db.store.put(ME, "short", {"status": "open"}, ttl=1)
        db.store.put(ME, "long", {"status": "open"})
        clock.advance(seconds=61)
        assert keys(db.store, ME, filter={"status": "open"}) == ["long"]
        assert db.store.count(ME, filter={"status": "open"}) == 1
        assert keys(db.store, ME, filter={"status": {"$gt": "o"}}) == ["long"]


@on_both
def test_a_view_of_the_past_filters_by_what_stood_there_then(url: str) -> None:
    with perdure.connect(url, indexes=["status"]) as db:
        db.store.put(ME, "k", {"status": "open"})
        item = db.store.get(ME, "k")
        assert item is not None
        then = db.store.at(item.revision)
        db.store.put(ME, "k", {"status": "shut"})
        assert [item.key for item in then.search(ME, filter={"status": "open"})] == ["k"]
        assert keys(db.store, ME, filter={"status": "open"}) == []


@on_both
def test_a_range_in_which_very_many_items_lie_is_answered(url: str) -> None:
    with perdure.connect(url, index={"text": False}, indexes=["n"]) as db:
        db.store.put_many([(ME, f"k{n}", {"n": n}) for n in range(2500)])
        for least, wanted in ((0, 2500), (499, 2001), (500, 2000), (501, 1999), (2499, 1)):
            assert db.store.count(ME, filter={"n": {"$gte": least}}) == wanted
        assert keys(db.store, ME, filter={"n": {"$lt": 2400}}, limit=2) == ["k2399", "k2398"]


def test_a_value_that_is_damaged_is_told_of_whatever_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with opened(path, []) as store:
        store.put(ME, "k", {"status": "open"})
    child.run(
        """
        import sqlite3
        db = sqlite3.connect(sys.argv[1])
        db.execute("UPDATE perdure_versions SET value = X'7B22'")
        db.commit()
        """,
        path,
    )
    with opened(path, []) as store, pytest.raises(EncodingError, match="damaged"):
        store.search(ME, filter={"status": "shut"})


def test_a_store_that_reads_values_its_own_way_is_not_preselected() -> None:
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    with SqliteStore(connection, deserializer=lambda stored: {"status": "mine"}, indexes=["status"]) as store:
        store.put(ME, "k", {"status": "open"})
        assert keys(store, ME, filter={"status": "mine"}) == ["k"]


def test_what_was_forgotten_is_in_no_byte_of_a_declared_index(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}", indexes=["status"]) as db:
        for part in range(4):
            db.store.put_many([(("ada",), f"k{n}", {"status": f"zyxneedle{n}"}) for n in range(part, 400, 4)])
            db.store.put_many([(("bob",), f"k{n}", {"status": f"other{n}"}) for n in range(part, 400, 4)])
        db.store.forget(("ada",))
        said = child.run(
            """
            import glob
            for path in glob.glob(sys.argv[1] + "*"):
                with open(path, "rb") as file:
                    print("zyxneedle" if b"zyxneedle" in file.read() else "clean")
            """,
            path,
        )
    assert set(said.split()) == {"clean"}


@pytest.mark.parametrize(
    "path", ["", ".", "a[*]", 'a"b', "a\\b", "a\nb", "\ud800", ".".join("abcdefghi"), 7, None]
)
def test_a_path_that_no_index_can_have_is_refused(tmp_path: Path, path: Any) -> None:
    file = tmp_path / "a.db"
    for act in (
        lambda: perdure.connect(f"sqlite:///{file}", indexes=[path]),
        lambda: SqliteStore.from_conn_string(str(file), indexes=[path]),
        lambda: InMemoryStore(indexes=[path]),
    ):
        with pytest.raises(QueryError, match="indexes"):
            act()
    assert not file.exists()


def test_indexes_are_a_list_and_not_for_what_is_sealed(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    with pytest.raises(QueryError, match="give a list"):
        perdure.connect(f"sqlite:///{file}", indexes="status")
    with pytest.raises(PerdureError, match="sealed"):
        perdure.connect(f"sqlite:///{file}", indexes=["status"], encryption=bytes(32))
    assert not file.exists()
