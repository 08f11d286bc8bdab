"""The public serializers: what comes back, what is refused, what is only given as plain values."""

from __future__ import annotations

import collections
import enum
import logging
import math
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from perdure.checkpoint.serde import allowed
from perdure.checkpoint.serde.base import SerializerProtocol, maybe_add_typed_methods
from perdure.checkpoint.serde.encrypted import EncryptedSerializer
from perdure.checkpoint.serde.event_hooks import SerdeEvent, register_serde_event_listener
from perdure.checkpoint.serde.jsonplus import InvalidModuleError, JsonPlusSerializer
from perdure.codec import Codec, Registry
from perdure.errors import EncodingError
from perdure.types import Command, Interrupt, Send


@dataclass
class Point:
    x: int
    near: Any = None


class Color(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    a: Any
    b: Any


def through(value: Any, serde: JsonPlusSerializer | None = None) -> Any:
    serde = serde or JsonPlusSerializer()
    return serde.loads_typed(serde.dumps_typed(value))


@pytest.fixture
def events() -> Iterator[list[SerdeEvent]]:
    heard: list[SerdeEvent] = []
    unregister = register_serde_event_listener(heard.append)
    yield heard
    unregister()


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (b"a", "bytes"), (bytearray(b"a"), "bytearray"), ([1], "msgpack"), ("", "msgpack")],
)
def test_the_format_says_what_it_is(value: Any, kind: str) -> None:
    assert JsonPlusSerializer().dumps_typed(value)[0] == kind
    assert type(through(value)) is type(value)
    assert through(value) == value


@pytest.mark.parametrize(
    "value",
    [
        Point(1, Point(2)), Color.RED, Pair(1, [2]), {1, 2}, frozenset({"a"}), collections.deque([1], 3),
        datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), timedelta(seconds=3), uuid.UUID(int=7), Decimal("1.50"),
        Path("/a/b"), ip_address("::1"), {1: "a", (1, (2, 3)): "b", None: "c"}, {(1, 2)}, 2**80, math.inf, "a\0",
        Send("n", {"a": 1}), Command(goto="n", update={"a": 1}), Interrupt("?", id="i"),
    ],
    ids=repr,
)  # fmt: skip
def test_values_come_back_as_they_were(value: Any) -> None:
    back = through({"v": value})["v"]

    assert back == value
    assert type(back) is type(value)


@pytest.mark.fact(140)
def test_surrogates_nan_and_infinities_survive() -> None:
    """The field's serializer replaces lone surrogates; ours keeps them."""
    assert through("a\ud800") == "a\ud800"
    assert math.isnan(through(math.nan))
    assert through([-math.inf]) == [-math.inf]


def test_tuples_come_back_as_lists_and_exceptions_as_text() -> None:
    assert through((1, (2, [(3,)]))) == [1, [2, [[3]]]]
    assert through(ValueError("x")) == "ValueError('x')"


def test_models_come_back() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):
        x: int
        deep: list[Any] = pydantic.Field(default_factory=list)

    model = Model(x=1, deep=[Color.RED])

    assert through(model) == model
    assert through(model, JsonPlusSerializer(allowed_msgpack_modules=None)) == {"x": 1, "deep": ["RED"]}


@pytest.mark.fact(139)
def test_what_cannot_be_saved_is_a_type_error_and_big_integers_can() -> None:
    with pytest.raises(TypeError, match=r"value\.f"):
        JsonPlusSerializer().dumps_typed({"f": lambda: 1})

    assert through(2**200) == 2**200


@pytest.mark.fact(138)
def test_a_blocked_type_comes_back_as_plain_values_with_one_warning(
    events: list[SerdeEvent], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allowed, "_told", set())
    data = JsonPlusSerializer().dumps_typed([Point(1, Point(2)), Color.RED, Pair(1, 2)])
    strict = JsonPlusSerializer(allowed_msgpack_modules=None)

    with caplog.at_level(logging.WARNING):
        first, second = strict.loads_typed(data), strict.loads_typed(data)

    assert first == second == [{"x": 1, "near": {"x": 2, "near": None}}, "RED", {"a": 1, "b": 2}]
    blocked = [event["name"] for event in events if event["kind"] == "msgpack_blocked"]
    assert blocked.count("Point") == 4
    assert sum(":Point, which is not allowed" in record.getMessage() for record in caplog.records) == 1


def test_what_the_allow_list_names_is_built(events: list[SerdeEvent]) -> None:
    data = JsonPlusSerializer().dumps_typed([Point(1), Color.RED])

    by_class = JsonPlusSerializer(allowed_msgpack_modules=[Point])
    by_name = JsonPlusSerializer(allowed_msgpack_modules=[(Color.__module__, "Color")])

    assert by_class.loads_typed(data) == [Point(1), "RED"]
    assert by_name.loads_typed(data) == [{"x": 1, "near": None}, Color.RED]
    assert by_class.with_msgpack_allowlist([Color]).loads_typed(data) == [Point(1), Color.RED]
    assert by_class.loads_typed(data) == [Point(1), "RED"]
    with pytest.raises(TypeError, match="allow-list"):
        JsonPlusSerializer(allowed_msgpack_modules=["Color"])  # type: ignore[list-item] - what is tested


def test_a_type_that_nobody_registered_is_told_of(events: list[SerdeEvent]) -> None:
    through(Point(1))

    assert events == [{"kind": "msgpack_unregistered_allowed", "module": Point.__module__, "name": "Point"}]


def test_a_listener_that_fails_or_left_disturbs_nobody() -> None:
    heard: list[SerdeEvent] = []

    def broken(event: SerdeEvent) -> None:
        raise RuntimeError(event["name"])

    stop = [register_serde_event_listener(broken), register_serde_event_listener(heard.append)]
    assert through(Point(1)) == Point(1)
    for each in stop:
        each()
    through(Point(1))

    assert len(heard) == 1


def test_the_environment_makes_it_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    data = JsonPlusSerializer().dumps_typed(Point(1))
    monkeypatch.setenv("LANGGRAPH_STRICT_MSGPACK", "true")

    assert JsonPlusSerializer().loads_typed(data) == {"x": 1, "near": None}
    assert JsonPlusSerializer(allowed_msgpack_modules=True).loads_typed(data) == Point(1)


def test_a_name_in_the_data_is_never_imported() -> None:
    registry = Registry()
    registry.register(Point, name="antigravity:Point")
    registry.register(Color, name="os:system")
    data = Codec(registry).encode([Point(1), Color.RED])
    sys.modules.pop("antigravity", None)

    back = JsonPlusSerializer().loads_typed(("msgpack", data))

    assert back == [{"x": 1, "near": None}, "RED"]
    assert "antigravity" not in sys.modules


def test_pickles_are_neither_written_nor_read() -> None:
    with pytest.raises(ValueError, match="pickle_fallback"):
        JsonPlusSerializer(pickle_fallback=True)
    with pytest.raises(NotImplementedError, match="run any code"):
        JsonPlusSerializer().loads_typed(("pickle", b"\x80\x04N."))
    with pytest.raises(NotImplementedError, match="Unknown serialization type: protobuf"):
        JsonPlusSerializer().loads_typed(("protobuf", b""))


def test_legacy_json_calls_nothing(caplog: pytest.LogCaptureFixture) -> None:
    text = b'{"a": {"lc": 2, "type": "constructor", "id": ["os", "system"], "method": null, "args": ["true"], "kwargs": {}}}'

    with caplog.at_level(logging.WARNING):
        back = JsonPlusSerializer().loads_typed(("json", text))

    assert back == {"a": ["true"]}
    assert "os.system is not in allowed_json_modules" in caplog.text
    assert JsonPlusSerializer().loads(b'{"a": [1]}') == {"a": [1]}
    assert issubclass(InvalidModuleError, Exception)
    with pytest.raises(EncodingError):
        JsonPlusSerializer().loads_typed(("json", b"{"))


def test_damaged_bytes_are_an_error_of_ours() -> None:
    kind, data = JsonPlusSerializer().dumps_typed({"a": [Point(1)] * 50})
    for cut in range(0, len(data), 7):
        with pytest.raises(EncodingError):
            JsonPlusSerializer().loads_typed((kind, data[:cut]))


def test_a_hook_of_the_users_reads_the_format_itself() -> None:
    serde = JsonPlusSerializer(__unpack_ext_hook__=lambda code, data: (code, len(data)))
    kind, data = serde.dumps_typed({"t": (1, 2), "long": "x" * 5000})

    assert serde.loads_typed((kind, data)) == {"t": (3, 3), "long": "x" * 5000}


# ---- encrypted


class Xor:
    """A cipher for tests."""

    def encrypt(self, plaintext: bytes) -> tuple[str, bytes]:
        return "xor", bytes(byte ^ 0x5A for byte in plaintext)

    def decrypt(self, ciphername: str, ciphertext: bytes) -> bytes:
        assert ciphername == "xor"
        return bytes(byte ^ 0x5A for byte in ciphertext)


def test_encrypted_values_carry_the_cipher_s_name() -> None:
    serde = EncryptedSerializer(Xor())

    kind, data = serde.dumps_typed({"secret": "tea"})

    assert kind == "msgpack+xor"
    assert b"tea" not in data
    assert serde.loads_typed((kind, data)) == {"secret": "tea"}
    assert serde.loads_typed(serde.dumps_typed(None)) is None


def test_a_plain_value_where_a_cipher_is_due_is_an_error() -> None:
    with pytest.raises(EncodingError, match="in the clear"):
        EncryptedSerializer(Xor()).loads_typed(JsonPlusSerializer().dumps_typed({"a": 1}))


def test_aes_notices_changed_bytes_and_other_keys() -> None:
    pytest.importorskip("Crypto")
    serde = EncryptedSerializer.from_pycryptodome_aes(key=b"k" * 32)
    kind, data = serde.dumps_typed(["x" * 1000])

    assert kind == "msgpack+aes"
    assert serde.loads_typed((kind, data)) == ["x" * 1000]
    assert serde.dumps_typed(1) != serde.dumps_typed(1)
    with pytest.raises(ValueError, match="MAC"):
        serde.loads_typed((kind, data[:-1] + bytes((data[-1] ^ 1,))))
    with pytest.raises(ValueError, match="MAC"):
        EncryptedSerializer.from_pycryptodome_aes(key=b"o" * 16).loads_typed((kind, data))


def test_the_key_may_come_from_the_environment_and_must_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("Crypto")
    monkeypatch.delenv("LANGGRAPH_AES_KEY", raising=False)

    with pytest.raises(ValueError, match="LANGGRAPH_AES_KEY"):
        EncryptedSerializer.from_pycryptodome_aes()
    with pytest.raises(ValueError, match="16, 24 or 32"):
        EncryptedSerializer.from_pycryptodome_aes(key=b"short")
    monkeypatch.setenv("LANGGRAPH_AES_KEY", "1234567890123456")
    serde = EncryptedSerializer.from_pycryptodome_aes()
    assert serde.loads_typed(serde.dumps_typed("x")) == "x"


def test_serializers_are_told_by_their_methods() -> None:
    serde = JsonPlusSerializer()

    assert maybe_add_typed_methods(serde) is serde
    assert isinstance(EncryptedSerializer(Xor()), SerializerProtocol)
