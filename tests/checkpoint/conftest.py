"""Every saver of ours by one fixture, fresh and empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from databases import POSTGRES
from perdure.checkpoint.face import BackendSaver
from perdure.checkpoint.memory import InMemorySaver
from perdure.checkpoint.postgres import PostgresSaver
from perdure.checkpoint.serde.encrypted import EncryptedSerializer
from perdure.checkpoint.serde.jsonplus import JsonPlusSerializer
from perdure.checkpoint.sqlite import SqliteSaver
from perdure.codec import AesGcm, Codec

KINDS = [
    "memory",
    "sqlite-file",
    "sqlite-memory",
    "memory-jsonplus",
    "memory-sealed",
    "sqlite-encrypted",
    POSTGRES,
    pytest.param("postgres-jsonplus", marks=pytest.mark.postgres),
]


def opened(kind: str, folder: Path, postgres: Callable[[], str]) -> AbstractContextManager[BackendSaver]:
    match kind:
        case "postgres":
            return PostgresSaver.from_conn_string(postgres())
        case "postgres-jsonplus":
            return PostgresSaver.from_conn_string(postgres(), serde=JsonPlusSerializer())
        case "memory":
            return InMemorySaver()
        case "memory-jsonplus":
            return InMemorySaver(serde=JsonPlusSerializer())
        case "memory-sealed":
            return InMemorySaver(pieces=Codec(cipher=AesGcm(b"k" * 32)))
        case "sqlite-file":
            return SqliteSaver.from_conn_string(str(folder / "saver.db"))
        case "sqlite-encrypted":
            pytest.importorskip("Crypto")
            serde = EncryptedSerializer.from_pycryptodome_aes(key=b"k" * 16)
            return SqliteSaver.from_conn_string(str(folder / "saver.db"), serde=serde)
        case _:
            return SqliteSaver.from_conn_string(":memory:")


@pytest.fixture(params=KINDS)
def saver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackendSaver]:
    with opened(request.param, tmp_path, lambda: request.getfixturevalue("postgres_url")) as made:
        yield made
