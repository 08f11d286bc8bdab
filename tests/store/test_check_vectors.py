"""Vectors, ends, SQLite's own indexes and values that disagree with the items are found, and made anew as far as can be."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import perdure
from databases import QUICK
from perdure.cli import main
from perdure.errors import QueryError
from perdure.storage.contract import Filed
from perdure.storage.memory import MemoryBackend
from perdure.storage.memory.tables import Tables
from perdure.store.face import BackendStore, codec_of


def embed(texts: Sequence[str]) -> list[list[float]]:
    """As many vectors as texts, of three numbers made of their letters."""
    return [[float(len(text)), float(sum(map(ord, text)) % 97), 1.0] for text in texts]


INDEX: Any = {"dims": 3, "embed": embed, "fields": ["text"]}
LATER = 1 << 52


def fill(store: BackendStore) -> None:
    """Items with vectors, without, deleted, hidden, with an end."""
    store.put(("a",), "k", {"text": "hot tea", "status": "open"})
    store.put(("a",), "l", {"text": "cold milk", "status": "done"}, ttl=1000)
    store.put(("b",), "gone", {"text": "tea"})
    store.delete(("b",), "gone")
    store.put(("b",), "hidden", {"text": "tea"}, index=False)
    store.put(("b",), "other", {"text": "water"})


def alike(store: BackendStore) -> list[str]:
    return sorted(item.key for item in store.search((), query="tea", mode="vector"))


DAMAGES = {
    "of nobody": "INSERT INTO perdure_vectors SELECT 77, model, seq, data FROM perdure_vectors LIMIT 1",
    "of a hidden item": "UPDATE perdure_items SET paths = CAST('[]' AS BLOB), idx = NULL, length = 0",
    "of no model": "UPDATE perdure_items SET model = NULL WHERE id = (SELECT id FROM perdure_items WHERE key = x'6B')",
    "of another model": "UPDATE perdure_items SET model = 99 WHERE id = (SELECT id FROM perdure_items WHERE key = x'6B')",
    "lost": "DELETE FROM perdure_vectors WHERE item = (SELECT id FROM perdure_items WHERE key = x'6B')",
    "cut off": "UPDATE perdure_vectors SET data = x'010203' WHERE item = (SELECT id FROM perdure_items WHERE key = x'6B')",
    "too many counted": "UPDATE perdure_vector_spaces SET items = items + 1",
    "not counted": "DELETE FROM perdure_vector_spaces",
    "nothing counted": "INSERT INTO perdure_vector_spaces VALUES (77, 1, 2, 1)",
    "changed before its vectors": "UPDATE perdure_vector_spaces SET changed = 0",
    "changed in the time to come": "UPDATE perdure_vector_spaces SET changed = changed + 1000",
    "written in the time to come": "UPDATE perdure_vectors SET seq = seq + 1000",
    "another end": "UPDATE perdure_items SET expires = expires + 1 WHERE expires IS NOT NULL",
    "no end": "UPDATE perdure_items SET expires = NULL WHERE expires IS NOT NULL",
    "filed although hidden": "UPDATE perdure_items SET idx = 0 WHERE idx IS NULL AND alive = 1",
    "nowhere to be found": "UPDATE perdure_items SET idx = NULL WHERE id = (SELECT id FROM perdure_items WHERE key = x'6B')",
}


def damage(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount != 0, statement


@pytest.mark.parametrize("what", DAMAGES)
def test_what_is_made_of_items_is_found_wrong_and_mended(what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}", index=INDEX, ttl={}) as db:
        fill(db.store)
        assert db.store.check() == []
        before = alike(db.store)
        assert before == ["k", "l", "other"]
    damage(path, DAMAGES[what])

    with perdure.connect(f"sqlite:///{path}", index=INDEX, ttl={}) as db:
        found = db.store.check()
        assert found
        assert db.store.check() == found  # asking mends nothing

        assert db.store.check(repair=True) == found
        assert db.store.check() == []
        assert alike(db.store) == ([] if what == "of a hidden item" else before)
        item = db.store.get(("a",), "l")
        assert item is not None
        assert item.expires_at is not None


def test_a_search_that_kept_a_matrix_sees_what_was_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}", index=INDEX, ttl={}) as db:
        fill(db.store)
        assert alike(db.store) == ["k", "l", "other"]
        damage(
            path, "DELETE FROM perdure_vectors WHERE item = (SELECT id FROM perdure_items WHERE key = x'6B')"
        )

        with perdure.connect(f"sqlite:///{path}", ttl={}) as plain:  # has no model, so it cannot embed
            assert len(plain.store.check(repair=True)) == 2  # vectors that are lost, and their count

        assert db.store.check() == []
        assert alike(db.store) == ["l", "other"]
        assert db.store.reindex().filed == 1
        assert alike(db.store) == ["k", "l", "other"]


def without_index(path: Path, index: str, change: str) -> None:
    """A change of rows that the index does not hear of."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (row,) = connection.execute("SELECT * FROM sqlite_schema WHERE name = ?", (index,)).fetchall()
        connection.execute("DELETE FROM sqlite_schema WHERE name = ?", (index,))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(change).rowcount
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)


@pytest.mark.parametrize("index", ["perdure_path_%", "perdure_items_by_version", "perdure_versions_by_end"])
def test_an_index_that_does_not_know_its_rows_is_found_and_made_anew(index: str, tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}", indexes=["status"], ttl={}) as db:
        fill(db.store)
        db.store.put(("a",), "k", {"text": "hot tea", "status": "open", "n": 2})
    with closing(sqlite3.connect(path)) as connection:
        ((name,),) = connection.execute(
            "SELECT name FROM sqlite_schema WHERE name LIKE ?", (index,)
        ).fetchall()
    changes = {
        "perdure_path_%": """UPDATE perdure_versions SET value = CAST('{"status": "open"}' AS BLOB) WHERE version IN
                             (SELECT version FROM perdure_items WHERE key = CAST('l' AS BLOB))""",
        "perdure_items_by_version": "UPDATE perdure_items SET id = id + 100 WHERE key = x'6B'",
        "perdure_versions_by_end": "UPDATE perdure_versions SET ended = ended + 1 WHERE ended IS NOT NULL",
    }
    without_index(path, name, changes[index])

    with perdure.connect(f"sqlite:///{path}", ttl={}) as db:
        found = db.store.check(repair=True)
        assert [what for what, _ in found if name in what], found
        left = [what for what, _ in db.store.check() if "SQLite" in what]
        assert left == []
        if index == "perdure_path_%":
            assert sorted(item.key for item in db.store.search(("a",), filter={"status": "open"})) == [
                "k",
                "l",
            ]


def test_a_lost_value_is_told_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite:///{path}"
    with perdure.connect(url, ttl={}) as db:
        fill(db.store)
    damage(
        path,
        "UPDATE perdure_versions SET version = version + 1000 WHERE item = (SELECT id FROM perdure_items WHERE key = x'6B')",
        "UPDATE perdure_totals SET items = items + 1",
    )

    assert main(["memory", "check", "--db", url, "--repair"]) == 1
    said = capsys.readouterr().out

    assert said.endswith(
        "left after mending:\n1 items whose value is not kept (nothing mends this: use a backup)\n"
        "1 values that count as live and are no item's (nothing mends this: export and import, or use a backup)\n"
    )
    assert "statistics" in said.split("left after mending")[0]


def test_words_that_cannot_be_made_anew_are_left_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with perdure.connect(f"sqlite:///{path}", ttl={}) as db:
        fill(db.store)
    damage(path, "UPDATE perdure_totals SET items = items + 1")

    wordless = perdure.connect(f"sqlite:///{path}", index={"text": False}, ttl={})
    with wordless as db, pytest.raises(QueryError, match="Nothing was written"):
        db.store.check(repair=True)
    with perdure.connect(f"sqlite:///{path}", ttl={}) as db:
        with db.backend.read() as now:
            assert now.count("postings") == 7
        assert len(db.store.check(repair=True)) == 1
        assert db.store.check() == []


# ---- the memory backend


def _shelf(tables: Tables) -> Any:
    return tables.vectors._shelves["a",][next(iter(tables.vectors._shelves["a",]))]


def _ref(tables: Tables, key: str = "k") -> int:
    found = tables.texts.ref((("a",), key))
    assert found is not None
    return found


IN_MEMORY: dict[str, Callable[[Tables], object]] = {
    "a posting": lambda tables: tables.texts._shelves["a",].popitem(),
    "a namespace": lambda tables: tables.texts._spaces.pop(),
    "terms of nobody": lambda tables: tables.texts._filed.update({77: Filed("x", {}, 0)}),
    "terms of a hidden one": lambda tables: tables.texts._filed.update(
        {tables.texts.ref((("b",), "hidden")) or 0: None}
    ),
    "not filed": lambda tables: tables.texts._filed.pop(_ref(tables)),
    "vectors of nobody": lambda tables: _shelf(tables).rows.update({77: _shelf(tables).rows[_ref(tables)]}),
    "vectors lost": lambda tables: _shelf(tables).rows.pop(_ref(tables)),
    "vectors cut off": lambda tables: _shelf(tables).rows.update(
        {_ref(tables): (1, _shelf(tables).rows[_ref(tables)][1]._replace(data=b"abc"))}
    ),
    "changed before": lambda tables: setattr(_shelf(tables), "changed", 0),
    "an end": lambda tables: tables.mortal.clear(),
}


@pytest.mark.parametrize("what", IN_MEMORY)
def test_in_memory_it_is_found_and_mended_too(what: str) -> None:
    backend = MemoryBackend()
    store = BackendStore(backend, codec_of(INDEX), ttl={})
    fill(store)
    assert store.check() == []
    IN_MEMORY[what](backend._tables)

    found = store.check(repair=True)

    assert found
    assert store.check() == []
    assert alike(store) == ["k", "l", "other"]
    assert [item.key for item in store.search((), query="tea", mode="text")] == ["k"]
    with backend.read() as now:
        assert [row.key for row in now.lapsed((), LATER, 10)] == ["l"]


@pytest.mark.parametrize("url", QUICK, indirect=True)
async def test_it_has_another_colour_and_scopes_refuse_it(url: str) -> None:
    with perdure.connect(url, index=INDEX, ttl={}) as db:
        await db.store.aput(("a",), "k", {"text": "tea"})

        assert await db.store.acheck(repair=True) == []
        with pytest.raises(Exception, match=r"scope\.root|outside of"):
            await db.store.scoped(("a",)).acheck()
