"""Where a Postgres database is and how it is to be used: URLs and their options, read once.

Here: our own options, told from libpq's (which are passed on untouched), and the name that messages use.
Not here: connections (`connections.py`). A password is in `Place.conninfo` and nowhere else: no message, no repr.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, quote

from perdure.storage.postgres.driver import conninfo_to_dict, pq, psycopg

__all__ = ["Place", "each_host", "place_of", "quoted", "with_replicas"]

Prepare = Literal["auto", "on", "off"]

SCHEMA_BYTES: Final = 63  # NAMEDATALEN - 1
_UNITS: Final = {"": 1, "ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000}
_DURATION: Final = re.compile(r"(\d{1,9})\s*(ms|s|min|h|)")
_SEARCH_PATH: Final = re.compile(r'search_path\s*=\s*(?:"([^"$\\]+)"|([a-z_][a-z0-9_]*))(?=[\s,]|\\ |$)')
_PAIR: Final = re.compile(r"\s*(\w+)\s*=\s*('(?:\\.|[^'\\])*'|(?:\\.|[^\s'\\])*)(?=\s|$)", re.DOTALL)

_UNREADABLE: Final = (
    "the URL cannot be read: write postgresql://user:password@host:port/database, with special characters"
    " of user and password as %XX (urllib.parse.quote). Nothing was opened."
)

# What libpq is told unless the URL says otherwise: a server that is gone without a word is noticed within half a minute.
_DEFAULTS: Final = {
    "application_name": "perdure",
    "client_encoding": "utf8",
    "connect_timeout": "10",
    "keepalives_idle": "20",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Place:
    """Which database, and how it is to be used.

    Attributes:
        conninfo: for libpq; has the password.
        options: what the user wants a session to be told when it begins, as libpq takes it (`-c name=value`).
        schema: where our tables are.
        name: how messages call it; has no password.
        prepare: `"on"`: statements are prepared on the server; `"off"`: never, and nothing is kept in a session between
            transactions; `"auto"`: as the connection turns out to be.
        pool_min: idle connections that are kept.
        pool_max: connections at most.
        pool_timeout: seconds that a caller waits for one of them.
        pool_idle: seconds after which an idle one above `pool_min` is closed.
        limits: the server's own settings for what a session may wait for, in milliseconds; 0 is no limit.
        read: where replicas are that answer what need not be of this very moment; None: nowhere.
        read_your_writes: a replica is only asked for what it shows with all commits of this process.
        read_wait: seconds that a replica is waited for until it does.
    """

    conninfo: str = field(repr=False)
    options: str = ""
    schema: str = "public"
    name: str = "postgresql:///"
    prepare: Prepare = "auto"
    pool_min: int = 0
    pool_max: int = 10
    pool_timeout: float = 30.0
    pool_idle: float = 300.0
    limits: tuple[tuple[str, int], ...] = ()
    read: Place | None = None
    read_your_writes: bool = True
    read_wait: float = 1.0

    @property
    def lock_seconds(self) -> float:
        """How long a transaction waits for what another has locked."""
        return dict(self.limits).get("lock_timeout", 0) / 1000 or math.inf


# Option -> milliseconds unless the URL says otherwise. Postgres' own names and meanings.
# https://www.postgresql.org/docs/current/runtime-config-client.html
_LIMITS: Final[dict[str, int | None]] = {
    "statement_timeout": None,  # whatever the role or the database says
    "lock_timeout": 30_000,
    "idle_in_transaction_session_timeout": 30_000,  # a stalled writer holds back what others may see
}
_OURS: Final = (
    "schema", "prepare", "pool_min", "pool_max", "pool_timeout", "pool_idle", *_LIMITS,
    "read_host", "read_port", "read_your_writes", "read_wait",
)  # fmt: skip
_NOT_OF_REPLICAS: Final = ("host", "hostaddr", "port", "target_session_attrs")
_OF_MANY_HOSTS: Final = ("target_session_attrs", "load_balance_hosts")
_CONNECT_TO_REPLICA: Final = "2"  # seconds; the primary can answer


def place_of(source: str, more: Mapping[str, str] = MappingProxyType({})) -> Place:
    """The place that a URL, or a string of `key=value` pairs as libpq takes it, describes.

    Args:
        source: `postgresql://user:password@host:port/database?option=value&...`. Options of ours: `schema`, `prepare`
            (`auto`, `on`, `off`), `pool_min`, `pool_max`, `pool_timeout` and `pool_idle` (seconds), `statement_timeout`,
            `lock_timeout`, `idle_in_transaction_session_timeout` (milliseconds, or with a unit: `30s`), `read_host`, `read_port`,
            `read_your_writes` (`on`, `off`), `read_wait` (seconds); all others are libpq's:
            https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
        more: further options, which win over those of the URL.

    Raises:
        ValueError: it is neither, or an option is unknown or cannot be right. No message has the password.
    """
    if "\0" in source:
        raise ValueError("the URL of the database has a NUL character in it. Nothing was opened.")
    base, pairs = _split(source)
    given: dict[str, str] = {}
    theirs: dict[str, str] = {}
    for key, value in [*((key, value) for key, value in pairs if key not in more), *more.items()]:
        if (key, value) == ("ssl", "true"):  # JDBC's way; libpq reads it in URLs, too
            theirs["sslmode"] = "require"
        elif key in _OURS:
            if key in given:
                raise ValueError(f"the option {key!r} is there twice. Nothing was opened.")
            given[key] = value
        elif key in _keywords():
            theirs[key] = value
        else:
            where, _, rest = source.partition("?")
            if (
                "://" in where and "@" in rest and "@" not in where
            ):  # a ? in the password, which is in no message
                raise ValueError(_UNREADABLE)
            raise ValueError(_unknown(key))
    known = {**_parsed(base), **theirs}
    options = known.pop("options", "")
    schema = given.get("schema") if "schema" in given else _searched(options)
    if not schema or len(schema.encode()) > SCHEMA_BYTES:
        raise ValueError(
            f"schema={schema!r}: give the name of a schema, of 1 to {SCHEMA_BYTES} bytes. Nothing was opened."
        )
    prepare = given.get("prepare", "auto")
    if prepare not in ("auto", "on", "off"):
        raise ValueError(f"prepare={prepare!r} is none of auto, on, off. Nothing was opened.")
    least, most = _count(given, "pool_min", 0), _count(given, "pool_max", 10)
    if most < 1 or least > most:
        raise ValueError(f"pool_min={least}, pool_max={most}: 0 <= pool_min <= pool_max, and at least one.")
    place = Place(
        conninfo=_conninfo({**_DEFAULTS, **known}),
        options=options,
        schema=schema,
        name=_name(known, schema),
        prepare=prepare,
        pool_min=least,
        pool_max=most,
        pool_timeout=_seconds(given, "pool_timeout", 30.0),
        pool_idle=_seconds(given, "pool_idle", 300.0),
        limits=tuple(
            (key, limit)
            for key, default in _LIMITS.items()
            if (limit := _milliseconds(given, key, default)) is not None
        ),
        read_your_writes=_switch(given, "read_your_writes", "on"),
        read_wait=_seconds(given, "read_wait", 1.0),
    )
    return replace(place, read=_replicas(place, known, given)) if "read_host" in given else place


def with_replicas(place: Place, read: str) -> Place:
    """The same, with the replicas that a URL names.

    Raises:
        ValueError: it is none, or cannot be right.
    """
    found = place_of(read, {"schema": place.schema})
    wait, own = found.read_wait, found.read_your_writes
    return replace(place, read=replace(found, read=None), read_wait=wait, read_your_writes=own)


def _replicas(place: Place, known: dict[str, str], given: dict[str, str]) -> Place:
    """As the primary, but for where they are."""
    host, port = given["read_host"], given.get("read_port", known.get("port"))
    if not host:
        raise ValueError("read_host= names no host. Nothing was opened.")
    parts = {key: value for key, value in known.items() if key not in _NOT_OF_REPLICAS}
    parts = {
        "connect_timeout": _CONNECT_TO_REPLICA,
        **parts,
        "host": host,
        **({"port": port} if port else {}),
    }
    if "," in host and "load_balance_hosts" in _keywords():
        parts.setdefault("load_balance_hosts", "random")
    return replace(place, conninfo=_conninfo({**_DEFAULTS, **parts}), name=_name(parts, place.schema))


def each_host(place: Place) -> list[Place]:
    """The place of each host that is named, whatever `target_session_attrs` would choose among them."""
    parts = {key: str(value) for key, value in conninfo_to_dict(place.conninfo).items() if value is not None}
    for key in _OF_MANY_HOSTS:
        parts.pop(key, None)
    lists = {key: parts[key].split(",") for key in ("host", "hostaddr", "port") if parts.get(key)}
    found: list[Place] = []
    for number in range(max(len(lists.get(key, ())) for key in ("host", "hostaddr")) or 1):
        own = {key: some[number] if len(some) > 1 else some[0] for key, some in lists.items()}
        one = {**parts, **own}
        found.append(replace(place, conninfo=_conninfo(one), name=_name(one, place.schema)))
    return found


def _switch(given: dict[str, str], key: str, default: str) -> bool:
    text = given.get(key, default)
    if text not in ("on", "off"):
        raise ValueError(f"{key}={text!r} is neither on nor off. Nothing was opened.")
    return text == "on"


def _split(source: str) -> tuple[str, list[tuple[str, str]]]:
    """The part that says where, for libpq to read; and all options."""
    scheme, found, rest = source.partition("://")
    if not found:
        return "", _pairs(source)
    if scheme not in ("postgresql", "postgres"):
        raise ValueError(
            f"the scheme {scheme!r} is not known: write postgresql://user@host/database. Nothing was opened."
        )
    where, _, query = rest.partition("?")
    try:
        pairs = parse_qsl(query.replace("+", "%2B"), keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        raise ValueError(
            "the options behind the ? of the URL are not key=value, joined by &. Nothing was opened."
        ) from None
    return f"postgresql://{where}", pairs


def _pairs(source: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(source.rstrip()):
        match = _PAIR.match(source, at)
        if match is None:
            raise ValueError(
                "this is neither a URL (postgresql://user@host/database) nor key=value pairs as libpq takes them"
                " (host=... dbname=...). Nothing was opened."
            )
        value = match[2][1:-1] if match[2].startswith("'") else match[2]
        found.append((match[1], re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)))
        at = match.end()
    return found


@cache
def _keywords() -> frozenset[str]:
    """What this libpq understands."""
    return frozenset(option.keyword.decode() for option in pq.Conninfo.get_defaults())


def _unknown(key: str) -> str:
    near = get_close_matches(key, [*_OURS, *sorted(_keywords())], n=1, cutoff=0.5)
    guess = f"; did you mean {near[0]!r}?" if near else f". Perdure's own: {', '.join(_OURS)}."
    return f"the option {key!r} is known neither to Perdure nor to libpq {pq.version()}{guess} Nothing was opened."


def _parsed(base: str) -> dict[str, str]:
    try:
        found = conninfo_to_dict(base)
    except psycopg.Error:  # libpq's message quotes what it could not read, which may be a password
        raise ValueError(_UNREADABLE) from None
    return {key: str(value) for key, value in found.items() if value is not None}


def quoted(value: str) -> str:
    """A value as libpq reads it in `key=value` pairs."""
    return "'{}'".format(re.sub(r"([\\'])", r"\\\1", value))


def _conninfo(parts: dict[str, str]) -> str:
    """As libpq reads it. Without psycopg's check, whose message would quote a password."""
    return " ".join(f"{key}={quoted(value)}" for key, value in parts.items())


def _name(parts: dict[str, Any], schema: str) -> str:
    user = f"{quote(parts['user'], safe='')}@" if parts.get("user") else ""
    host = parts.get("host") or parts.get("hostaddr") or ""
    port = f":{parts['port']}" if parts.get("port") else ""
    at = f"{quote(host, safe='')}{port}" if host.startswith("/") else f"{host}{port}"
    return f"postgresql://{user}{at}/{quote(parts.get('dbname', ''), safe='')}?schema={quote(schema)}"


def _searched(options: str) -> str:
    """The schema where a session would make tables that are told none: the first of its search_path."""
    if "search_path" not in options:
        return "public"
    found = _SEARCH_PATH.search(options)
    if found is None:
        raise ValueError(
            "options= sets a search_path whose first schema is no plain name: say schema=NAME as well. Nothing was opened."
        )
    return found[1] or found[2]


def _count(given: dict[str, str], key: str, default: int) -> int:
    text = given.get(key)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,5}", text):
        raise ValueError(f"{key}={text!r}: give a whole number, not below 0. Nothing was opened.")
    return int(text)


def _seconds(given: dict[str, str], key: str, default: float) -> float:
    text = given.get(key)
    if text is None:
        return default
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", text):
        raise ValueError(f"{key}={text!r}: give seconds, not below 0. Nothing was opened.")
    return float(text)


def _milliseconds(given: dict[str, str], key: str, default: int | None) -> int | None:
    text = given.get(key)
    if text is None:
        return default
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"{key}={text!r}: give milliseconds, or a number with ms, s, min or h. Nothing was opened."
        )
    return min(int(match[1]) * _UNITS[match[2]], 2**31 - 1)
