"""How read replicas stand, as `perdure db status` tells it: each by itself, and the primary's own status whatever becomes of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("psycopg", reason="psycopg is not installed: pip install 'perdure[postgres]'")

from perdure import admin
from perdure.cli import main
from perdure.database import Database
from perdure.storage.contract import ReplicaStatus
from perdure.storage.postgres.place import each_host, place_of
from replicated import Pair
from under_load import until

pytestmark = [pytest.mark.postgres, pytest.mark.xdist_group("replicas")]


def asked_for(pair: Pair, hosts: str = "127.0.0.1", port: int | None = None) -> str:
    return f"{pair.url}&read_host={hosts}&read_port={port or pair.standby.port}"


def only(pair: Pair) -> ReplicaStatus:
    (found,) = admin.status(asked_for(pair)).replicas
    return found


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["db", "status", *arguments]) == 0
    return capsys.readouterr().out


def test_a_replica_that_has_all_is_0_bytes_and_0_seconds_behind(
    pair: Pair, other: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    other.store.put(("a",), "k", {"n": 1})
    until(lambda: only(pair).bytes_behind == 0)

    found = only(pair)

    assert (found.follows, found.seconds_behind, found.note) == (True, 0, "")
    assert str(pair.standby.port) in found.where
    assert ": has all that the primary has\n" in said(capsys, "--db", asked_for(pair))


def test_a_replica_whose_replay_stands_still_says_so_and_how_old_what_it_lacks_is(
    pair: Pair, other: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    other.store.put(("a",), "k", {"n": 1})
    pair.catch_up()
    pair.pause()
    other.store.put(("a",), "k", {"n": 2, "long": "x" * 10_000})
    first = only(pair)
    other.store.put(("a",), "k", {"n": 3, "long": "y" * 10_000})
    second = only(pair)

    assert first.follows
    assert second.follows
    assert first.bytes_behind is not None
    assert second.bytes_behind is not None
    assert 0 < first.bytes_behind < second.bytes_behind
    assert first.seconds_behind is not None
    assert second.seconds_behind is not None
    assert 0 < first.seconds_behind < second.seconds_behind < 60
    assert second.note == "its replay is paused"

    text = said(capsys, "--db", asked_for(pair))
    assert "bytes of the log behind, lacks commits of the last " in text
    assert "its replay is paused\n" in text
    (told,) = json.loads(said(capsys, "--json", "--db", asked_for(pair)))["replicas"]
    assert told["follows"] is True
    assert told["bytes_behind"] >= second.bytes_behind
    assert told["seconds_behind"] > second.seconds_behind


def test_log_that_is_nobodys_commit_makes_no_replica_old(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    import psycopg

    pair.catch_up()
    pair.pause()
    with psycopg.connect(pair.primary.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE of_another_program AS SELECT generate_series(1, 1000)")
        connection.execute("DROP TABLE of_another_program")

    found = only(pair)

    assert found.bytes_behind is not None
    assert found.bytes_behind > 10_000
    assert found.seconds_behind == 0
    assert "behind, lacks no commit; its replay is paused" in said(capsys, "--db", asked_for(pair))


def test_each_of_several_hosts_is_told_by_itself_and_one_that_is_away_in_which_way(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.catch_up()
    url = f"{pair.url}&read_host=127.0.0.1,127.0.0.1,localhost&read_port={pair.standby.port},1,{pair.primary.port}"

    there, away, primary = admin.status(url).replicas

    assert there.follows is True
    assert (away.follows, away.bytes_behind, away.seconds_behind) == (None, None, None)
    assert "does not answer" in away.note
    assert primary.follows is False
    assert "is no replica, or is none any more" in primary.note
    lines = [line for line in said(capsys, "--db", url).splitlines() if line.startswith("replica ")]
    assert [words in line for words, line in zip(("has all", "does not answer", "is never asked"), lines, strict=True)] == [True] * 3  # fmt: skip


def test_a_url_of_its_own_names_replicas_too_and_no_password_is_told(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.catch_up()
    read = pair.standby.url.replace("postgres@", "postgres:s3cret@")

    text = said(capsys, "--db", pair.url, "--read", read)

    assert "replica        " in text
    assert "s3cret" not in text
    assert "replica        " not in said(capsys, "--db", pair.url)


def test_a_replica_that_follows_nobody_any_more_says_so(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    pair.catch_up()
    ((before,),) = pair.on_standby("SELECT quote_literal(current_setting('primary_conninfo'))")

    def follow(whom: str) -> None:
        pair.on_standby(f"ALTER SYSTEM SET primary_conninfo = {whom}")
        pair.on_standby("SELECT pg_reload_conf()")

    follow("'host=127.0.0.1 port=1'")
    try:
        until(lambda: "not connected to the server that it follows" in only(pair).note)
    finally:
        follow(before)
    until(lambda: only(pair).note == "")


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("postgresql://u:p@a,b:5/d", ["postgresql://u@a/d?schema=public", "postgresql://u@b:5/d?schema=public"]),
        ("host=a,b port=7 dbname=d", ["postgresql://a:7/d?schema=public", "postgresql://b:7/d?schema=public"]),
        ("postgresql:///d?target_session_attrs=standby", ["postgresql:///d?schema=public"]),
    ],
)  # fmt: skip
def test_hosts_are_told_apart(url: str, names: list[str]) -> None:
    found = each_host(place_of(url))

    assert [place.name for place in found] == names
    assert not any("target_session_attrs" in place.conninfo for place in found)


def test_a_primary_without_replicas_is_told_as_ever(
    capsys: pytest.CaptureFixture[str], url_of: Callable[[str], str]
) -> None:
    found: Any = json.loads(said(capsys, "--json", "--db", filled(url_of("sqlite"))))
    assert found["replicas"] == []


def filled(url: str) -> str:
    import perdure

    perdure.connect(url).close()
    return url
