"""Indexes of vectors by the extension `vector`, as statements: a copy of a large namespace's vectors, its index, the nearest by it.

An index is one namespace's, so nothing has to be filtered out of what it finds. It only chooses candidates; their scores are computed
from the vectors themselves, which stay in `perdure_vectors`. What was written since the copy was brought up to date is compared beside
it, and who is gone is found no more, so a copy that lags changes no answer. A copy goes with its vector (ON DELETE CASCADE).
https://github.com/pgvector/pgvector

Here: `Setting`, `Copy`. Not here: making and refreshing (`tending.py`), asking (`prompt.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from typing import Any, Final, Literal, NamedTuple

from perdure.storage.postgres.migrating import quoted
from perdure.storage.postgres.statements import qualified
from perdure.storage.vectors.embedder import Distance

__all__ = ["FROM_BYTES", "LAG", "Copy", "Extension", "Near", "Setting", "as_text", "large_from", "setting_of"]

FROM_BYTES: Final = 10 << 20
"""Of the vectors of a namespace from which on an index is made: below, comparing with all is about as fast (decision 0015)."""

LAG: Final = 5_000
"""Vectors that may be newer than the copy; more, and all are compared."""

_MOST_DIMS: Final = {"vector": 2000, "halfvec": 4000}  # of an index
_OPERATORS: Final = {"cosine": ("<=>", "cosine"), "inner_product": ("<#>", "ip"), "l2": ("<->", "l2")}
_HALFVEC: Final = (0, 7)
_ITERATIVE: Final = (0, 8)
_ROWS_A_LIST: Final = 1000
_LEAST: Final = 1000
_TRUST_SECONDS: Final = 5.0
_LEAST_EF, _LARGEST_EF = 200, 1000


def large_from(dims: int) -> int:
    """Items of so large a namespace."""
    return max(_LEAST, FROM_BYTES // (4 * dims))


class Extension(NamedTuple):
    """The extension, as it is installed."""

    schema: str
    version: tuple[int, ...]

    @classmethod
    def of(cls, rows: list[tuple[Any, ...]]) -> Extension | None:
        """None: it is not there, or too old."""
        for schema, version in rows:
            number = tuple(int(part) for part in str(version).split(".") if part.isdigit())
            if number >= _HALFVEC:
                return cls(schema, number)
        return None


class Setting(NamedTuple):
    """What was asked for. Copies and indexes of another setting are made anew."""

    kind: Literal["hnsw", "ivfflat"]
    type: Literal["vector", "halfvec"]
    dims: int
    distance: Distance
    m: int
    ef_construction: int
    nlist: int  # 0: by how many there are

    def packed(self) -> bytes:
        """As it is kept."""
        return json.dumps(self, separators=(",", ":")).encode()

    @classmethod
    def unpacked(cls, kept: bytes) -> Setting:
        """Of what `packed` gave."""
        return cls(*json.loads(kept))


def setting_of(config: dict[str, Any], dims: int, distance: Distance) -> Setting | None:
    """Of an `ann_index_config` that was checked; None: vectors are compared exactly."""
    kind = config.get("kind", "hnsw")
    type_ = "vector" if config.get("vector_type") == "vector" else "halfvec"
    if dims > _MOST_DIMS[type_]:
        type_ = "halfvec"
    if kind == "flat" or dims > _MOST_DIMS[type_]:
        return None
    m = config.get("m") or 16
    return Setting(
        kind,
        type_,
        dims,
        distance,
        m,
        max(config.get("ef_construction") or 64, 2 * m),  # less is refused
        config.get("nlist") or 0,
    )


def as_text(vector: Iterable[float]) -> str:
    """A vector as the extension reads it."""
    return f"[{','.join(map(repr, vector))}]"


class Copy:
    """Of one namespace and model: statements, with the schemas before all names.

    Args:
        schema: of our tables.
        extension: where types and operators are.
        setting: how they are indexed.
        space: number of the namespace.
        model: number of the model.
    """

    def __init__(self, schema: str, extension: Extension, setting: Setting, space: int, model: int) -> None:
        self._schema = schema
        self._setting = setting
        self._space = space
        self._new = extension.version >= _ITERATIVE
        inside = quoted(extension.schema)
        self._type = f"{inside}.{setting.type}"
        sign, name = _OPERATORS[setting.distance]
        self._operator = f"OPERATOR({inside}.{sign})"
        self._class = f"{inside}.{setting.type}_{name}_ops"
        self._table = f"perdure_near_{setting.type}"
        self._vector = f"data::{self._type}({setting.dims})"
        self._own = f"item >> 32 = {space}::bigint AND model = {model}::bigint"
        self._model = model
        self.index = f"near_{setting.type}_{space}_{model}"

    def _text(self, text: str) -> bytes:
        return qualified(text, self._schema).encode()

    @property
    def index_with_schema(self) -> str:
        """The index's name, as SQL has it."""
        return f"{quoted(self._schema)}.{self.index}"

    @property
    def table_with_schema(self) -> str:
        """The table's name, as SQL has it."""
        return qualified(self._table, self._schema)

    def drop_table(self) -> bytes:
        """Of all namespaces."""
        return self._text(f"DROP TABLE IF EXISTS {self._table}")

    def table(self) -> bytes:
        """Makes the table, for all namespaces. Writers to perdure_vectors wait for the moment that this takes."""
        return self._text(
            f"CREATE TABLE {self._table} ("
            "item BIGINT NOT NULL REFERENCES perdure_vectors (item) ON DELETE CASCADE, place BIGINT NOT NULL,"
            f" model BIGINT NOT NULL, data {self._type} NOT NULL, PRIMARY KEY (item, place))"
        )

    def create(self, rows: int) -> bytes:
        """Makes the index, while others write. `rows`: how many vectors there are, about."""
        how = self._setting
        options = f"m = {how.m}, ef_construction = {how.ef_construction}"
        if how.kind == "ivfflat":
            options = f"lists = {self._lists(rows)}"
        return self._text(
            f"CREATE INDEX CONCURRENTLY {self.index} ON {self._table} USING {how.kind} (({self._vector}) {self._class})"
            f" WITH ({options}) WHERE {self._own}"
        )

    def drop(self) -> bytes:
        """Takes the index away, while others read and write."""
        return f"DROP INDEX CONCURRENTLY IF EXISTS {self.index_with_schema}".encode()

    def drop_unfinished(self) -> bytes:
        """What drops the index if it cannot be used: another program may have made one of that name."""
        name = self.index_with_schema
        literal = name.replace("'", "''")
        return (  # nothing but a name of ours, quoted
            f"DO $do$ BEGIN IF EXISTS (SELECT 1 FROM pg_index WHERE indexrelid = to_regclass('{literal}') AND NOT indisvalid)"  # noqa: S608 - see above
            f" THEN DROP INDEX {name}; END IF; END $do$"
        ).encode()

    def fill(self) -> bytes:
        """Columns item, place, model and vector (as text): of those that are there still. What was copied before is replaced."""
        return self._text(
            f"INSERT INTO {self._table} (item, place, model, data)"  # noqa: S608 - names of ours
            f" SELECT wanted.item, wanted.place, wanted.model, convert_from(wanted.data, 'UTF8')::{self._type}"
            " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[]) AS wanted (item, place, model, data)"
            " JOIN perdure_vectors v ON v.item = wanted.item AND v.model = wanted.model"
            " ON CONFLICT (item, place) DO UPDATE SET model = excluded.model, data = excluded.data"
        )

    def clear(self) -> bytes:
        """$1 items. Their copies go: they are copied anew, with fewer vectors perhaps."""
        return self._text(
            f"DELETE FROM {self._table} c USING unnest($1::bigint[]) AS wanted (item) WHERE c.item = wanted.item"  # noqa: S608 - names of ours
        )

    def forget(self) -> bytes:
        """All copies of the namespace go."""
        return self._text(f"DELETE FROM {self._table} WHERE {self._own}")  # noqa: S608 - names of ours

    def asking(self, wanted: int) -> bytes:
        """What the transaction is told before `nearest`, for so many."""
        if self._setting.kind == "ivfflat":
            told: dict[str, int | str] = {
                "ivfflat.probes": max(10, self._lists(large_from(self._setting.dims)) // 5)
            }
            if self._new:
                told["ivfflat.iterative_scan"] = "relaxed_order"
        else:
            told = {"hnsw.ef_search": min(_LARGEST_EF, max(_LEAST_EF, 2 * wanted))}
            if self._new:
                told["hnsw.iterative_scan"] = "strict_order"
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in told.items())
        return f"SELECT {calls}".encode()

    def nearest(self) -> bytes:
        """$1 vector (as text), $2 how many, $3 how many newer ones at most. Items with their vectors; one may come twice.

        One descent of the index, one seek for each; one range of perdure_vectors_by_seq.
        """
        return self._text(
            "SELECT v.item, v.data FROM ("  # noqa: S608 - names and numbers of ours
            f"SELECT c.item FROM {self._table} c WHERE {self._own}"
            f" ORDER BY c.{self._vector} {self._operator} $1::text::{self._type}({self._setting.dims}) LIMIT $2) AS near"
            f" JOIN perdure_vectors v ON v.item = near.item AND v.model = {self._model}::bigint"
            " UNION ALL (SELECT item, data FROM perdure_vectors"
            f" WHERE {self._own} AND seq > (SELECT r.seq FROM perdure_near r WHERE r.space = {self._space} AND r.model = {self._model})"
            " LIMIT $3)"
        )

    @property
    def setting(self) -> Setting:
        """What it was made with."""
        return self._setting

    def _lists(self, rows: int) -> int:
        return self._setting.nlist or max(10, rows // _ROWS_A_LIST)


class Near:
    """Which namespaces this process believes have an index that may be asked. What is asked for says itself whether it is so."""

    def __init__(self) -> None:
        self._copies: dict[tuple[int, int], Copy] = {}
        self._until = 0.0

    def forget(self, *, seconds: float = 0.0) -> None:
        """Asks anew at the next need, or after so many seconds, and believes in none until then."""
        self._copies = {}
        self._until = time.monotonic() + seconds

    @property
    def known(self) -> bool:
        """False: to be asked for, and told."""
        return time.monotonic() < self._until

    def tell(self, schema: str, extension: list[tuple[Any, ...]], spaces: list[tuple[Any, ...]]) -> None:
        """This is installed and there, as `near_extension` and `near_spaces` give it."""
        found = Extension.of(extension)
        self._copies = (
            {}
            if found is None
            else {
                (space, model): Copy(schema, found, Setting.unpacked(kept), space, model)
                for space, model, kept in spaces
            }
        )
        self._until = time.monotonic() + _TRUST_SECONDS

    def copy(self, space: int, model: int) -> Copy | None:
        """Of the namespace; None: there is none."""
        return self._copies.get((space, model))
