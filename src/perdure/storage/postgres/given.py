"""The backend of what a user gives: a URL with the settings of a pool, a connection of `psycopg`, a pool of its.

Connections and pools of users are asked for their parameters and otherwise left alone; ours are opened with these. Faces
on one database and schema, however they name it, share one backend, so they commit together.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final, Protocol, runtime_checkable

from perdure.errors import StorageError
from perdure.storage.keycheck import check_key
from perdure.storage.opened import Opened
from perdure.storage.postgres.backend import open_backend
from perdure.storage.postgres.driver import psycopg
from perdure.storage.postgres.place import Place, place_of

__all__ = ["opened", "place_given", "place_with"]

# What `psycopg.connect` takes besides the parameters of libpq: how a connection of its user behaves, which ours do not.
_BEHAVIOUR: Final = frozenset({"autocommit", "row_factory", "cursor_factory", "context", "prepare_threshold"})
# A pool's own names, and ours.
_POOL: Final = {
    "min_size": "pool_min",
    "max_size": "pool_max",
    "timeout": "pool_timeout",
    "max_idle": "pool_idle",
}


@runtime_checkable
class _Pool(Protocol):
    """What we ask of `psycopg_pool`'s pools, blocking or not, open or not."""

    conninfo: Any
    kwargs: Any
    min_size: int
    max_size: int
    timeout: float
    max_idle: float


def opened(place: Place) -> Opened:
    """The database there, with its tables; counted, so it is to be let go of.

    Raises:
        StorageError: it cannot be opened, was written by a newer Perdure, or is encrypted; the message says what to do.
    """
    backend = open_backend(place)
    try:
        check_key(backend, None, place.name)
    except BaseException:
        backend.close()
        raise
    return Opened(backend, backend.close)


def place_with(conn_string: str, pool_config: Mapping[str, Any] | None = None) -> Place:
    """The place of a URL, with the sizes of a pool.

    Args:
        conn_string: as `place_of` takes it.
        pool_config: `min_size`, `max_size`, `timeout`, `max_idle` (seconds), and `kwargs`, further parameters of libpq.

    Raises:
        ValueError: the URL, or a setting, is unknown or cannot be right.
    """
    if pool_config is None:
        return place_of(conn_string)
    more = _parameters(pool_config.get("kwargs") or {}, "pool_config['kwargs']")
    for key, value in pool_config.items():
        if key in _POOL:
            if value is not None:
                more[_POOL[key]] = f"{value:g}" if isinstance(value, float) else str(value)
        elif key != "kwargs":
            near = get_close_matches(key, [*_POOL, "kwargs"], n=1, cutoff=0.5)
            guess = f"did you mean {near[0]!r}?" if near else f"known are kwargs and {', '.join(_POOL)}."
            raise ValueError(f"pool_config has {key!r}, which is not known: {guess} Nothing was opened.")
    return place_of(conn_string, more)


def place_given(given: object) -> Place:
    """The place of a connection, or a pool of connections, of `psycopg`; of a URL as well.

    Raises:
        ValueError: it is something else, or has parameters that cannot be used; the message has what to give instead.
        StorageError: the connection is closed, so that it can no longer be asked.
    """
    if isinstance(given, str):
        return place_of(given)
    if isinstance(given, psycopg.Connection | psycopg.AsyncConnection):
        return _place_of_connection(given)  # pyright: ignore[reportUnknownArgumentType] - whatever its rows are
    if isinstance(given, _Pool):
        return _place_of_pool(given)
    kind = f"{type(given).__module__}.{type(given).__qualname__}"
    raise ValueError(
        f"{kind} is no connection of psycopg 3 and no pool of psycopg_pool: give one, or the URL to from_conn_string()."
        " Nothing was opened."
    )


def _place_of_connection(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> Place:
    try:
        parameters = dict(connection.info.get_parameters())
        password = connection.info.password
    except psycopg.Error as error:
        raise StorageError(
            f"this {type(connection).__name__} cannot be asked for its database: {error}. Nothing was opened.",
            operation="open",
            hint="It may be closed. Pass one that is open, or the URL to from_conn_string().",
        ) from error
    if password:
        parameters["password"] = password
    if connection.prepare_threshold is None:
        parameters["prepare"] = "off"
    return place_of("", parameters)


def _place_of_pool(pool: _Pool) -> Place:
    if callable(pool.conninfo) or callable(pool.kwargs):
        raise ValueError(  # noqa: TRY004 - as for other pools that cannot be used
            "this pool asks a function for its parameters, which Perdure does not call: give the URL to from_conn_string();"
            " a password that changes can be in a file (passfile=). Nothing was opened."
        )
    more = _parameters(pool.kwargs or {}, "the pool's kwargs")
    for theirs, ours in _POOL.items():
        more[ours] = f"{getattr(pool, theirs):.9g}"
    return place_of(pool.conninfo or "", more)


def _parameters(given: Mapping[str, Any], where: str) -> dict[str, str]:
    """Those of libpq."""
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers come here, too
        raise ValueError(f"{where} is no mapping. Nothing was opened.")  # noqa: TRY004 - as for other settings
    found = {key: str(value) for key, value in given.items() if key not in _BEHAVIOUR and value is not None}
    if given.get("prepare_threshold", 0) is None:
        found["prepare"] = "off"
    return found
