"""What `backup` and `restore` say to use for Postgres saves a database, and brings it back elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import pytest

pytest.importorskip("psycopg")

import perdure
from admin.equal import assert_equal
from admin.rooms import talk
from perdure import admin, clock
from perdure.errors import PerdureError
from perdure.testing.postgres import chosen, programs


def told(action: Any) -> str:
    """The command that the refusal names."""
    with pytest.raises(PerdureError) as caught:
        action()
    found = re.search(r"`(pg_\w+ [^`]*)`", str(caught.value))
    assert found is not None
    return found[1]


def run(command: str, *more: str) -> None:
    where = programs(chosen())
    path = f"{where}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*shlex.split(command), *more], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["plain", "public", 'It\'s "mine" *'])
def test_the_commands_that_are_told_save_a_schema_and_bring_it_back(
    name: str, postgres_server: str, postgres_admin: Any, tmp_path: Path
) -> None:
    if programs(chosen()) is None:
        pytest.skip("no pg_dump of the server's version")
    here, there = (f"saved_{clock.uuid6().hex}" for _ in range(2))
    servers = [urlunsplit(urlsplit(postgres_server)._replace(path=f"/{one}")) for one in (here, there)]
    urls = [f"{one}{'&' if '?' in one else '?'}schema={quote(name)}" for one in servers]
    for one in (here, there):
        postgres_admin.execute(f"CREATE DATABASE {one}")
    try:
        if name == "public":
            subprocess.run([f"{programs(chosen())}/psql", "-c", "DROP SCHEMA public", servers[1]], check=True)
        file = tmp_path / "saved"
        with perdure.connect(urls[0]) as db:
            talk(db)
            run(told(lambda: admin.backup(urls[0], file)), f"--file={file}", servers[0])
            run(told(lambda: admin.restore(file, urls[1])), f"--dbname={servers[1]}", str(file))

            with perdure.connect(urls[1]) as again:
                assert_equal(db, again)
                assert admin.check(again) == []
                talk(again, threads=1, turns=1)
    finally:
        for one in (here, there):
            postgres_admin.execute(f"DROP DATABASE {one} WITH (FORCE)")
