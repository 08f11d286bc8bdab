"""Declared paths on Postgres: what is filed of items, how it is filled while others write, and that a listing is one range of it."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("psycopg")

import perdure
from perdure.storage.filter_tree import parse_filter
from perdure.storage.postgres import declaring
from perdure.storage.postgres.paths import bounds_of, declared_of, values_at
from perdure.storage.postgres.readings import patiently
from perdure.storage.postgres.statements import qualified, statements_of
from perdure.storage.postgres.talking import say
from perdure.storage.preselect import declared_paths, preselections
from perdure.store.postgres import PostgresStore

ME = ("users", "ada")
OPEN: dict[str, Any] = {"status": "open"}


def rows_in(db: perdure.Database) -> int:
    """How many values of items are filed for all paths together."""
    backend: Any = db.backend
    return patiently(
        backend._line, qualified("SELECT count(*) FROM perdure_path_values", schema_of(db)).encode()
    )[0][0]


def schema_of(db: perdure.Database) -> str:
    backend: Any = db.backend
    return backend._line.place.schema


def opened(url: str, *paths: str) -> perdure.Database:
    return perdure.connect(url, index={"text": False}, indexes=list(paths))


def preselected(db: perdure.Database, filter: dict[str, Any], limit: int = 10) -> list[str] | None:
    with db.backend.read() as snapshot:
        rows = snapshot.preselected((), preselections(parse_filter(filter)), None, limit)
    return None if rows is None else [row.key for row in rows]


comparable = st.integers() | st.floats(allow_nan=False) | st.booleans() | st.text()


@given(st.lists(comparable, min_size=2, max_size=2))
def test_values_are_filed_in_the_order_of_filters(pair: list[Any]) -> None:
    (one,), (two,) = (at(value) for value in pair)
    if isinstance(pair[0], str) == isinstance(pair[1], str) and pair[0] < pair[1]:
        assert (
            one <= two
        )  # what a double cannot tell apart, and texts beyond their beginning, are filed alike
    if pair[0] == pair[1]:
        assert one == two


def at(value: Any) -> list[bytes]:
    if value in (math.inf, -math.inf):  # as an operand only
        return bounds_of([(value, value)])[0]
    text = json.dumps({"a": value}, ensure_ascii=False).encode(errors="surrogatepass")
    return [found for found in values_at(declared_of([(1, b"a")]), text) if found is not None]


@pytest.mark.parametrize(
    "value", [None, b"", b"{", b"\x00sealed", b"[1]", b'{"b":1}', b'{"a":null}', b'{"a":{"a":1}}']
)
def test_nothing_is_filed_of_what_has_no_number_and_no_text_there(value: bytes | None) -> None:
    assert values_at(declared_of([(1, b"a")]), value) == [None]


def test_a_path_that_nobody_declared_is_not_preselected_by(postgres_url: str) -> None:
    with opened(postgres_url, "status") as db:
        db.store.put(ME, "k", {"status": "open", "n": 1})
        assert preselected(db, OPEN) == ["k"]
        assert preselected(db, {"status": "shut"}) == []
        assert preselected(db, {"n": 1}) is None
        assert preselected(db, {"n": 1, "status": "open"}) == ["k"]
        db.drop_indexes(["status"])
        assert preselected(db, OPEN) is None


def test_only_what_lives_is_filed(postgres_url: str) -> None:
    with opened(postgres_url, "status", "n") as db:
        db.store.put(ME, "k", {"status": "open", "n": 1})
        db.store.put(ME, "l", {"status": "open"})
        assert rows_in(db) == 3
        db.store.put(ME, "k", {"status": "shut"})
        assert rows_in(db) == 2
        assert preselected(db, OPEN) == ["l"]
        db.store.delete(ME, "l")
        assert rows_in(db) == 1
        db.store.put(ME, "l", OPEN)
        assert preselected(db, OPEN) == ["l"]
        db.store.forget(ME)
        assert rows_in(db) == 0
        db.store.put(ME, "l", OPEN)
        db.drop_indexes(["status", "n"])
        assert rows_in(db) == 0


def test_a_path_that_is_not_filled_yet_is_not_read(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(postgres_url) as db:
        for number in range(30):
            db.store.put((*ME, str(number)), "k", OPEN)
        done: list[Any] = []
        real = declaring.together

        def cut_off(line: Any, operation: str, said: Any, **how: Any) -> None:
            if len(done) == 3:
                raise KeyboardInterrupt
            real(line, operation, said, **how)
            done.append(said)

        monkeypatch.setattr(declaring, "_ITEMS", 10)
        monkeypatch.setattr(declaring, "together", cut_off)
        with pytest.raises(KeyboardInterrupt):
            db.backend.declare_paths(declared_paths(["status"]))
        assert rows_in(db) == 20
        assert preselected(db, OPEN) is None
        db.store.put((*ME, "25"), "k", {"status": "shut"})
        db.store.put((*ME, "26"), "k", OPEN)
        db.store.delete((*ME, "27"), "k")
        assert rows_in(db) == 22  # whoever writes knows it already
        assert db.store.count((), filter=OPEN) == 28

        monkeypatch.setattr(declaring, "together", real)
        with opened(postgres_url, "status") as again:
            assert len(preselected(again, OPEN, 100) or []) == 28
            assert preselected(again, {"status": "shut"}) == ["k"]


def test_a_path_is_declared_and_dropped_while_others_write(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a writer did last is what is found, again and again."""
    monkeypatch.setattr(declaring, "_ITEMS", 7)
    stop = threading.Event()
    errors: list[BaseException] = []

    def write(worker: int) -> None:
        number = 0
        try:
            with PostgresStore.from_conn_string(postgres_url, index={"text": False}) as store:
                while not stop.is_set():
                    number += 1
                    key = f"k{number * 7 % 40}"
                    if number % 5:
                        store.put((*ME, str(worker)), key, {"status": f"s{number % 3}"})
                    else:
                        store.delete((*ME, str(worker)), key)
        except Exception as error:  # noqa: BLE001 - told by the test
            errors.append(error)

    with opened(postgres_url) as db:
        db.store.put_many([((*ME, str(n % 2)), f"k{n}", {"status": f"s{n % 3}"}) for n in range(40)])
        writers = [threading.Thread(target=write, args=(worker,)) for worker in range(2)]
        for writer in writers:
            writer.start()
        try:
            for _ in range(6):
                db.backend.declare_paths(declared_paths(["status"]))
                with db.backend.read() as snapshot:
                    for status in ("s0", "s1", "s2"):
                        wanted = preselections(parse_filter({"status": status}))
                        found = snapshot.preselected((), wanted, None, 1000)
                        all_items = snapshot.items((), None, 1000)
                        value = json.dumps({"status": status}, separators=(",", ":")).encode()
                        assert found == [row for row in all_items if row.value == value]
                db.drop_indexes(["status"])
        finally:
            stop.set()
            for writer in writers:
                writer.join()
    assert errors == []


@pytest.mark.parametrize(
    ("name", "filter"),
    [("preselected_by_values", OPEN), ("preselected_by_ranges", {"status": {"$gt": "a"}})],
)
def test_a_listing_is_one_range_of_what_is_filed(
    postgres_url: str, name: str, filter: dict[str, Any]
) -> None:
    with opened(postgres_url, "status") as db:
        db.store.put_many([(ME, f"k{n}", {"status": "open" if n % 2 else "shut"}) for n in range(50)])
        backend: Any = db.backend
        connection = backend._line.take()
        try:
            text = statements_of(backend._line.place.schema)[name].text.decode()
            places = 9 if name == "preselected_by_ranges" else 7
            say(connection, f"PREPARE looked_at AS {text}".encode())
            lines = connection.execute(
                f"EXPLAIN EXECUTE looked_at({', '.join(['NULL'] * places)})"
            ).fetchall()
            say(connection, b"DEALLOCATE looked_at")
        finally:
            backend._line.give(connection)
    plan = "\n".join(line for (line,) in lines)
    assert "perdure_path_values_by_value" in plan, plan
    condition = plan[plan.index("perdure_path_values_by_value") :].split("Index Cond:")[1].split("\n")[0]
    assert "path =" in condition, plan
    assert ">> 32) =" in condition, plan
    assert "perdure_items_by_" not in plan, plan  # each item by its id
    assert "value" in condition, plan
    assert preselected_is_sorted_backwards(plan) or name == "preselected_by_ranges", plan


def preselected_is_sorted_backwards(plan: str) -> bool:
    """The newest come first from the index itself, so a page of a frequent value costs a page."""
    return "Backward using perdure_path_values_by_value" in plan


def test_others_are_told_that_a_path_was_dropped(postgres_urls: Callable[[], str]) -> None:
    """By the answer itself: what a process believes may be old."""
    url = postgres_urls()
    with opened(url, "status") as db:
        db.store.put(ME, "k", OPEN)
        assert preselected(db, OPEN) == ["k"]
        other = declaring_elsewhere(url)
        try:
            other.drop_paths(declared_paths(["status"]))
            db.store.put(ME, "l", OPEN)
            assert preselected(db, OPEN) is None
            assert db.store.count((), filter=OPEN) == 2
        finally:
            other.close()


def declaring_elsewhere(url: str) -> Any:
    """A backend of its own, as another process has it."""
    from perdure.storage.postgres.backend import PostgresBackend

    return PostgresBackend(url)


def test_what_is_filed_wrongly_is_told_of_and_filed_anew(postgres_url: str) -> None:
    with opened(postgres_url, "status") as db:
        db.store.put(ME, "k", OPEN)
        backend: Any = db.backend
        text = qualified("UPDATE perdure_path_values SET version = version + 1", schema_of(db))
        patiently(backend._line, text.encode())
        assert preselected(db, OPEN) == []

        assert "declared paths" in str(db.store.check())
        db.store.check(repair=True)

        assert str(db.store.check()).count("declared paths") == 0
        assert db.store.count(ME, filter=OPEN) == 1
    with opened(postgres_url, "status") as db:
        assert preselected(db, OPEN) == ["k"]
