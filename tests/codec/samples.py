"""One value of every type that format 1 holds, by name; the golden files and the round trips share them."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath, PureWindowsPath
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pydantic

from perdure.codec import Registry, StoredError


class Colour(enum.Enum):
    RED = (255, 0, 0)


class Mood(enum.StrEnum):
    CALM = "calm"


class Level(enum.IntEnum):
    HIGH = 3


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: int = 0


Pair = namedtuple("Pair", ["left", "right"])


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    tags: frozenset[str] = frozenset()


@dataclass
class Open:
    name: str
    size: int = field(init=False, default=0)
    seen: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = len(self.name)


class Model(pydantic.BaseModel):
    name: str
    where: Point | None = None
    moods: list[Mood] = []


class LooseModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    name: str
    _seen: int = pydantic.PrivateAttr(default=0)


def loose() -> LooseModel:
    model = LooseModel(name="ada", colour="red")
    model._seen = 7
    return model


def known() -> Registry:
    """A registry of the types above."""
    registry = Registry()
    for cls in (Colour, Mood, Level, Right, Point, Pair, Frozen, Open, Model, LooseModel):
        registry.register(cls, name=f"golden:{cls.__name__}")
    return registry


SAMPLES: dict[str, object] = {
    "none": None,
    "true": True,
    "zero": 0,
    "int64": -(2**63),
    "uint64": 2**64 - 1,
    "big int": 2**64,
    "big negative int": -(2**63) - 1,
    "huge int": 7**500,
    "float": 0.1,
    "minus zero": -0.0,
    "infinity": float("-inf"),
    "text": "tea \u2615 and \x00",
    "surrogate": "half \ud83d",
    "bytes": bytes(range(256)),
    "bytearray": bytearray(b"\x00\xff"),
    "list": [1, [2, []]],
    "tuple": (1, ("a", ())),
    "dict": {"b": 1, "a": {"": None}},
    "dict of odd keys": {1: "int", "1": "text", (2, 3): "tuple", None: "none", b"b": "bytes", 1.5: "float"},
    "dict of surrogates": {"\udfff": "\ud800"},
    "set": {1, "a", (2,)},
    "frozenset": frozenset({frozenset({1}), 2}),
    "deque": deque([1, 2], maxlen=5),
    "endless deque": deque([(1,)]),
    "datetime": datetime(2026, 3, 2, 1, 2, 3, 4),  # noqa: DTZ001 - naive ones are saved, too
    "datetime of a zone": datetime(2025, 10, 26, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    "datetime in utc": datetime(1, 1, 1, tzinfo=timezone.utc),  # noqa: UP017 - the class is the point
    "date": date(2026, 3, 2),
    "time": time(23, 59, 59, 999999, fold=1, tzinfo=timezone(timedelta(hours=-3), "home")),
    "timedelta": timedelta(days=-1, microseconds=1),
    "timezone": timezone(timedelta(hours=5, minutes=30)),
    "zone": ZoneInfo("America/New_York"),
    "decimal": Decimal("1.10"),
    "large decimal": Decimal("-1E+999999"),
    "complex": complex(1.5, -0.0),
    "fraction": Fraction(-1, 3),
    "uuid": UUID(int=2**127 + 5),
    "posix path": PurePosixPath("/a/../b"),
    "windows path": PureWindowsPath("C:\\a\\b"),
    "pattern": re.compile(r"(?i)a+\b", re.MULTILINE),
    "bytes pattern": re.compile(rb"\x00", re.DOTALL),
    "ipv4": ipaddress.ip_address("127.0.0.1"),
    "ipv6": ipaddress.ip_address("fe80::1%eth0"),
    "network": ipaddress.ip_network("10.0.0.0/8"),
    "interface": ipaddress.ip_interface("10.0.0.1/8"),
    "range": range(0, 10**30, 7),
    "ordered dict": OrderedDict([("b", 1), ("a", 2)]),
    "default dict": defaultdict(list, {1: [2]}),
    "counter": Counter({"a": 2, 5: -1}),
    "enum": Colour.RED,
    "text enum": Mood.CALM,
    "int enum": Level.HIGH,
    "flags": Right.READ | Right.WRITE,
    "named tuple": Point(1, 2),
    "old named tuple": Pair("l", (1,)),
    "frozen dataclass": Frozen("ada", frozenset({"x"})),
    "dataclass": Open("ada", ["b"]),
    "model": Model(name="ada", where=Point(1), moods=[Mood.CALM]),
    "model of defaults": Model(name="ada"),
    "loose model": loose(),
    "secret": pydantic.SecretStr("s3"),
    "url": pydantic.HttpUrl("https://example.org/a?b=c"),
    "array": np.arange(6, dtype=np.float32).reshape(2, 3),
    "array of columns": np.asfortranarray(np.arange(6, dtype=">i2").reshape(2, 3)),
    "array of text": np.array(["a", "bc"]),
    "empty array": np.zeros((0, 3), np.int64),
    "array of nothing": np.array(5),
    "numpy float": np.float64(0.1),
    "numpy int": np.uint8(200),
    "numpy bool": np.bool_(True),
    "numpy time": np.datetime64("2026-03-02T01:02", "ms"),
    "numpy text": np.str_("a\x00"),
    "numpy bytes": np.bytes_(b""),
    "stored error": StoredError("builtins.ValueError", "ValueError('no')"),
    "mixed": {"a": [(1, {"b": {2, 3}}), bytearray(b"\xc4")], "keys": {1: {2: (3,)}}, "long": "tea " * 100},
}
