"""For tests of Postgres itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from perdure import clock


@pytest.fixture
def own_database(postgres_server: str, postgres_admin: Any) -> Iterator[str]:
    """A database in which extensions can be made; `key=value` pairs of libpq's."""
    from psycopg.conninfo import make_conninfo

    name = f"checked_{clock.uuid6().hex}"
    postgres_admin.execute(f"CREATE DATABASE {name}")
    yield make_conninfo(postgres_server, dbname=name)
    postgres_admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
