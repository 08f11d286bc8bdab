"""`perdure memory` as its user meets it: exit codes, lines, JSON, refusals that touch nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import perdure
from perdure.cli import main


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path / 'a.db'}"
    with perdure.connect(made) as db:
        db.store.put(("users", "ada"), "tea", {"text": "likes tea"})
        db.store.put(("users", "ada"), "tea", {"text": "likes milk"})
        db.store.put(("users", "ada", "\ud800"), "odd", {"text": "\x1b[31m"})
        db.store.put(("users", "bob"), "tea", {"text": "likes coffee", "n": 1})
    return made


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(["memory", *arguments]) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def rows(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_namespaces_are_listed_with_their_own_items(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = rows(said(capsys, "ls", "users", "--db", url, "--json"))

    assert [(row["namespace"][1:], row["items"]) for row in found] == [
        (["ada"], 1),
        (["ada", "\ud800"], 1),
        (["bob"], 1),
    ]
    assert said(capsys, "ls", "--db", url).splitlines()[-1] == '        1  "users" "bob"'


def test_items_are_shown_and_found_without_control_characters(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = json.loads(said(capsys, "show", "users", "ada", "tea", "--db", url))
    assert (shown["value"], shown["namespace"]) == ({"text": "likes milk"}, ["users", "ada"])
    history = said(capsys, "history", "users", "ada", "tea", "--db", url).splitlines()
    assert [line.partition(": ")[2] for line in history] == [
        '{"text": "likes milk"}',
        '{"text": "likes tea"}',
    ]
    found = said(capsys, "search", "users", "--query", "coffee", "--db", url)
    assert '"users" "bob" "tea": {"text": "likes coffee", "n": 1}' in found
    filtered = rows(said(capsys, "search", "--filter", '{"n": 1}', "--db", url, "--json"))
    assert [row["key"] for row in filtered] == ["tea"]
    assert "\x1b" not in said(capsys, "search", "--db", url)


def test_words_in_the_place_of_labels_are_told_where_they_belong(url: str, capsys: Any) -> None:
    assert main(["memory", "search", "likes coffee", "--db", url]) == 0

    heard = capsys.readouterr()
    assert heard.out == ""
    assert (
        """nothing below "likes coffee", which are labels; to find these words say --query 'likes coffee'"""
        in heard.err
    )


def test_what_is_not_there_is_told_and_nothing_is_made(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 'no item "x"' in said(capsys, "show", "users", "x", "--db", url, code=1)
    assert "nothing is kept" in said(capsys, "history", "users", "x", "--db", url, code=1)
    missing = tmp_path / "never.db"
    assert "no such database" in said(capsys, "ls", "--db", f"sqlite:///{missing}", code=1)
    assert not missing.exists()
    assert "is not a URL" in said(capsys, "ls", "--db", str(missing), code=1)
    with pytest.raises(SystemExit) as stopped:
        main(["memory", "search", "--filter", "[1]", "--db", url])
    assert stopped.value.code == 2


def test_an_export_is_imported_elsewhere(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, other = tmp_path / "memory.jsonl", f"sqlite:///{tmp_path / 'b.db'}"
    said(capsys, "export", "--history", "--out", str(file), "--db", url)
    assert said(capsys, "export", "users", "bob", "--db", url).count("\n") == 3

    assert said(capsys, "import", str(file), "--db", other) == "3 items written, 0 stood there already\n"
    assert rows(said(capsys, "import", str(file), "--db", other, "--json")) == [
        {"written": 0, "unchanged": 3}
    ]
    assert len(said(capsys, "history", "users", "ada", "tea", "--db", other).splitlines()) == 2
    file.write_text("nonsense")
    assert "line 1 cannot be imported" in said(capsys, "import", str(file), "--db", other, code=1)
    assert "No such file" in said(capsys, "import", str(tmp_path / "none"), "--db", other, code=1)


def test_an_encrypted_database_opens_with_the_key_from_the_environment(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEY_OF_MEMORY", "A" * 43 + "=")
    file, sealed = tmp_path / "memory.jsonl", f"sqlite:///{tmp_path / 'sealed.db'}"
    said(capsys, "export", "--out", str(file), "--db", url)
    with_key = ("--db", sealed, "--key-env", "KEY_OF_MEMORY")

    assert said(capsys, "import", str(file), *with_key) == "3 items written, 0 stood there already\n"

    assert json.loads(said(capsys, "show", "users", "ada", "tea", *with_key))["value"] == {
        "text": "likes milk"
    }
    assert "encrypted" in said(capsys, "search", "--query", "milk", *with_key, code=1)
    assert "encrypted" in said(capsys, "ls", "--db", sealed, code=1)
    assert "no key in NOT_THERE" in said(capsys, "ls", "--db", sealed, "--key-env", "NOT_THERE", code=1)
    assert said(capsys, "check", *with_key) == "all agrees with the items\n"
    (receipt,) = rows(said(capsys, "forget", "users", "ada", "--yes", "--json", *with_key))
    assert receipt["counts"]["items"] == 2


def test_forgetting_wants_a_yes_and_gives_a_receipt(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Nothing was deleted" in said(capsys, "forget", "users", "ada", "--db", url, code=2)
    plan = said(capsys, "forget", "users", "ada", "--dry-run", "--db", url)
    assert plan.startswith('would go below "users" "ada": 2 items, 3 history')
    assert len(rows(said(capsys, "ls", "--db", url, "--json"))) == 3

    (receipt,) = rows(said(capsys, "forget", "users", "ada", "--yes", "--json", "--db", url))

    assert (receipt["counts"]["items"], receipt["scrubbed"]) == (2, True)
    assert len(rows(said(capsys, "ls", "--db", url, "--json"))) == 1
    assert "nothing of it is left" in said(capsys, "forget", "users", "ada", "--yes", "--db", url)
