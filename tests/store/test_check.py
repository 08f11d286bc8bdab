"""An index that disagrees with the items is found, whatever is wrong with it, and made anew."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

import perdure
from perdure.cli import main

DAMAGES = {
    "a posting is lost": "DELETE FROM perdure_postings WHERE term = x'01746561'",
    "another term": "UPDATE perdure_postings SET term = x'0178' WHERE term = x'01746561'",
    "a posting too many": "INSERT INTO perdure_postings VALUES (x'0178', 77, 1, 1)",
    "how often": "UPDATE perdure_postings SET times = times + 1",
    "a length": "UPDATE perdure_postings SET length = length + 1",
    "terms lost": "DELETE FROM perdure_texts",
    "terms of nobody": "INSERT INTO perdure_texts VALUES (77, x'78')",
    "totals": "UPDATE perdure_totals SET items = items + 1",
    "totals lost": "DELETE FROM perdure_totals",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_index_is_found_and_made_anew(
    damage: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.db"
    url = f"sqlite:///{path}"
    with perdure.connect(url) as db:
        db.store.put(("a",), "k", {"text": "hot tea"})
        db.store.put(("a",), "l", {"text": "cold milk"})
        db.store.put(("b",), "gone", {"text": "tea"})
        db.store.delete(("b",), "gone")
        db.store.put(("b",), "hidden", {"text": "tea"}, index=False)
    assert main(["memory", "check", "--db", url]) == 0
    with sqlite3.connect(path) as connection:
        assert connection.execute(DAMAGES[damage]).rowcount > 0
    connection.close()

    assert main(["memory", "check", "--db", url]) == 1
    assert main(["memory", "check", "--repair", "--db", url]) == 0
    assert main(["memory", "check", "--db", url]) == 0
    assert capsys.readouterr().out.endswith("mended\nall agrees with the items\n")
    with perdure.connect(url) as db:
        assert [item.key for item in db.store.search((), query="tea")] == ["k"]
        assert db.store.check() == []


def test_vectors_that_are_owed_are_no_disagreement(tmp_path: Path) -> None:
    def fails(texts: list[str]) -> list[list[float]]:
        raise ConnectionError(f"no model for {len(texts)} texts")

    index = {"embed": fails, "dims": 2, "fields": ["text"], "on_embed_error": "defer", "catch_up": False}
    for url in ("memory://", f"sqlite:///{tmp_path / 'a.db'}"):
        with perdure.connect(url, index=index) as db:  # pyright: ignore[reportArgumentType] - as users write it
            db.store.put(("a",), "k", {"text": "hot tea"})
            assert db.store.check() == []
            assert db.store.check(repair=True) == []
