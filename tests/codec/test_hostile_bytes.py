"""Bytes of an enemy give a value of known types or an EncodingError: no import, no call, no flood of memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ormsgpack import Ext, packb

from codec.samples import SAMPLES, known
from perdure.codec import Codec
from perdure.errors import EncodingError

codec = Codec(known())
PLAIN = b"\x10"


def nested(levels: int, tag: int) -> bytes:
    packed = packb([])
    for _ in range(levels):
        packed = packb(Ext(tag, b"\x91" + packed))
    return packed


def bomb() -> bytes:
    try:
        from compression import zstd  # type: ignore[import-not-found]  # Python 3.14
    except ImportError:
        from backports import zstd

    return zstd.compress(bytes(400 * 1024 * 1024), 1)


def extension(tag: int, plain: object) -> bytes:
    return packb(Ext(tag, packb(plain)))


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "only a version": PLAIN,
    "a newer version": b"\x20\x01",
    "a foreign format": b'{"lc": 2, "type": "constructor", "id": ["os", "system"], "args": ["id"]}',
    "a stack program": b"\x80\x04cos\nsystem\n(S'id'\ntR.",
    "a list of four billion": PLAIN + b"\xdd\xff\xff\xff\xff",
    "a map of four billion": PLAIN + b"\xdf\xff\xff\xff\xff",
    "text of four gigabytes": PLAIN + b"\xdb\xff\xff\xff\xff",
    "bytes of four gigabytes": PLAIN + b"\xc6\xff\xff\xff\xff",
    "an extension of four gigabytes": PLAIN + b"\xc9\xff\xff\xff\xff\x03",
    "no utf-8": PLAIN + b"\xa1\xff",
    "an unknown kind": PLAIN + extension(99, []),
    "a type by name": PLAIN + extension(100, ["os:system", "id"]),
    "a type by module and name": PLAIN + extension(100, ["subprocess:run", ["id"]]),
    "a type without a name": PLAIN + extension(100, []),
    "a type whose name is a list": PLAIN + extension(100, [["os"], 1]),
    "a peer's constructor": PLAIN + extension(0, ["os", "system", "id"]),
    "a peer's method": PLAIN + extension(105, ["builtins", "eval", "1", "__call__"]),
    "a bytearray of a quarter gigabyte": PLAIN + extension(7, 2**28),
    "an array of a petabyte": PLAIN + extension(30, ["<f8", [2**47], "C", b""]),
    "an array of negative size": PLAIN + extension(30, ["<f8", [-1, -1], "C", bytes(8)]),
    "an array of objects": PLAIN + extension(30, ["|O", [1], "C", bytes(8)]),
    "an array of records": PLAIN + extension(30, ["i4,O", [1], "C", bytes(12)]),
    "a zone outside": PLAIN + extension(14, "../../etc/passwd"),
    "a zone that is a module": PLAIN + extension(14, "os/path"),
    "a factory by name": PLAIN + extension(27, ["eval", {}]),
    "an address of another kind": PLAIN + extension(23, ["ip_network", "1"]),
    "a pydantic function": PLAIN + extension(32, ["create_model", "x"]),
    "a pydantic import": PLAIN + extension(32, ["ImportString", "os.system"]),
    "a set of lists": PLAIN + extension(4, [[1]]),
    "a pattern that does not end": PLAIN + extension(22, ["(" * 5000, 0]),
    "a pattern that prints": PLAIN + extension(22, ["a", 128]) + b"\xc1",
    "a day that is none": PLAIN + extension(10, [2026, 2, 30]),
    "a fraction over nothing": PLAIN + extension(16, [1, 0]),
    "a key without a value": PLAIN + extension(6, [1]),
    "a field of another class": PLAIN + extension(100, ["golden:Frozen", {"__class__": 1}]),
    "an enum's method": PLAIN + extension(100, ["golden:Colour", "mro"]),
    "a flag of text": PLAIN + extension(100, ["golden:Right", None, "x"]),
    "extensions without end": PLAIN + nested(5000, 3),
    "sets without end": PLAIN + nested(5000, 4),
    "lists without end": PLAIN + b"\x91" * 100_000 + b"\xc0",
    "no frame": b"\x11" + b"\x28\xb5\x2f\xfd",
    "a frame of something else": b"\x11abcdef",
    "a bomb": b"\x11" + bomb(),
    "sealed bytes": b"\x12" + bytes(100),
}
HARMLESS = {"a pattern that prints"}  # gives a value; that it prints nothing is another test's matter


@pytest.mark.parametrize("name", sorted(HOSTILE.keys() - HARMLESS))
def test_hostile_bytes_are_a_clean_error(name: str) -> None:
    with pytest.raises(EncodingError):
        codec.decode(HOSTILE[name])


def test_hostile_bytes_take_little_memory() -> None:
    tracemalloc.start()
    try:
        for name, stored in HOSTILE.items():
            if "without end" not in name:
                with suppress(EncodingError):
                    codec.decode(stored)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 * 1024 * 1024


@given(st.binary())
@settings(max_examples=500)
def test_any_bytes_are_a_value_or_a_clean_error(body: bytes) -> None:
    for mark in (b"", b"\x10", b"\x11", b"\x12"):
        with suppress(EncodingError):
            codec.decode(mark + body)


@given(st.sampled_from(sorted(SAMPLES)), st.data())
@settings(max_examples=1000, deadline=None)
def test_damaged_values_are_a_value_or_a_clean_error(name: str, data: st.DataObject) -> None:
    stored = bytearray(codec.encode([SAMPLES[name]]))
    for _ in range(data.draw(st.integers(1, 4))):
        stored[data.draw(st.integers(0, len(stored) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(stored)))

    for damaged in (bytes(stored), bytes(stored[:cut])):
        with suppress(EncodingError):
            codec.decode(damaged)


# Strategy: plain forms that no encoder writes, in every tag.
plain_forms = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.integers(0, 127), plain_forms | plain_forms.map(lambda plain: ["golden:Model", plain]))
@settings(max_examples=1500, deadline=None)
def test_any_tag_with_any_content_is_a_value_or_a_clean_error(tag: int, plain: object) -> None:
    with suppress(EncodingError):
        codec.decode(PLAIN + extension(tag, plain))


AUDITED = """
import json, sys
from contextlib import suppress
sys.path[:0] = sys.argv[1:]
from codec.samples import SAMPLES, known
from perdure.codec import Codec
from perdure.errors import EncodingError
codec = Codec(known())
for value in SAMPLES.values():
    codec.decode(codec.encode(value))  # what the built-ins need is imported now
try:
    codec.decode(b"\\x10" + bytes.fromhex("c7030ea27a7a"))  # an unknown zone: the list of zones is read once
except EncodingError:
    pass
payloads = [bytes.fromhex(line) for line in sys.stdin.read().split()]
seen = []
FORBIDDEN = ("import", "exec", "compile", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect",
             "ctypes.dlopen", "pickle.find_class", "marshal.loads", "os.fork")
def watch(event, args):
    if event in FORBIDDEN:
        seen.append([event, repr(args)[:200]])
    elif event == "open" and "zoneinfo" not in str(args[0]):
        seen.append([event, repr(args)[:200]])
class Finder:
    def find_spec(self, name, path=None, target=None):
        seen.append(["looked for", name])
sys.meta_path.insert(0, Finder())  # no audit event tells of a module that was looked for and not found
sys.addaudithook(watch)
for payload in payloads:
    with suppress(EncodingError):
        codec.decode(payload)
found = list(seen)
print(json.dumps(found))
"""


def test_decoding_hostile_bytes_imports_and_runs_nothing() -> None:
    tests = Path(__file__).parents[1]
    payloads = "\n".join(stored.hex() for stored in HOSTILE.values())

    done = subprocess.run(
        [sys.executable, "-c", AUDITED, str(tests), str(tests.parent / "src")],
        input=payloads,
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == []
    assert done.stderr == ""
