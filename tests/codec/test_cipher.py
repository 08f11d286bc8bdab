"""With a key given, nothing is readable, movable or replaceable by a plain value."""

from __future__ import annotations

import base64
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.codec import AesGcm, Codec
from perdure.errors import EncodingError

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


def sealed_with(key: bytes, *older: bytes) -> Codec:
    return Codec(cipher=AesGcm(key, older_keys=older))


def test_a_sealed_value_opens_with_its_key_and_place() -> None:
    codec = sealed_with(OLD)

    stored = codec.encode({"secret": "tea " * 200}, aad=b"thread 1")

    assert b"tea" not in stored
    assert len(stored) < 200  # compressed first
    assert codec.decode(stored, aad=b"thread 1") == {"secret": "tea " * 200}


@pytest.mark.parametrize(
    "stranger", [sealed_with(NEW), Codec(), sealed_with(OLD)], ids=["key", "no key", "place"]
)
def test_it_opens_with_no_other_key_and_at_no_other_place(stranger: Codec) -> None:
    stored = sealed_with(OLD).encode("secret", aad=b"thread 1")

    with pytest.raises(EncodingError):
        stranger.decode(stored, aad=b"thread 2")


def test_a_plain_value_where_a_cipher_is_due_is_an_error() -> None:
    with pytest.raises(EncodingError, match="not encrypted"):
        sealed_with(OLD).decode(Codec().encode("planted"))


def test_old_values_stay_readable_when_the_key_changes() -> None:
    stored = sealed_with(OLD).encode("a")
    rotated = sealed_with(NEW, OLD)

    assert rotated.decode(stored) == "a"
    with pytest.raises(EncodingError, match="older_keys"):
        sealed_with(OLD).decode(rotated.encode("a"))


@given(st.data())
@settings(max_examples=100)
def test_any_changed_or_missing_byte_is_noticed(data: st.DataObject) -> None:
    stored = sealed_with(OLD).encode({"a": 1})
    place = data.draw(st.integers(0, len(stored) - 1))
    flipped = bytearray(stored)
    flipped[place] ^= data.draw(st.integers(1, 255))

    for damaged in (bytes(flipped), stored[:place]):
        with pytest.raises(EncodingError):
            sealed_with(OLD).decode(damaged)


@pytest.mark.parametrize("form", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_key_may_be_base64(form: object) -> None:
    text = form(bytes(range(224, 256))).decode()  # type: ignore[operator]

    assert AesGcm(text).key_id == AesGcm(bytes(range(224, 256))).key_id


@pytest.mark.parametrize(
    "key", [b"short", b"x" * 31, "password", "a" * 32, "", base64.b64encode(b"x" * 16).decode()]
)
def test_a_key_that_is_no_key_is_refused_and_not_shown(key: bytes | str) -> None:
    with pytest.raises(ValueError, match="32 random bytes") as caught:
        AesGcm(key)

    assert not key or str(key) not in str(caught.value)


def test_a_repr_shows_no_key() -> None:
    assert OLD.hex() not in repr(sealed_with(OLD))


def test_a_foreign_cipher_that_fails_is_an_encoding_error() -> None:
    class Broken:
        key_id = "broken"

        def seal(self, plain: bytes, aad: bytes) -> bytes:
            return plain

        def open(self, sealed: bytes, aad: bytes) -> bytes:
            raise OSError

    codec = Codec(cipher=Broken())

    with pytest.raises(EncodingError, match="OSError"):
        codec.decode(codec.encode(1))


def test_without_cryptography_the_error_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from perdure.codec import AesGcm\n"
        "try: AesGcm(b'x' * 32)\n"
        "except ImportError as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "perdure[encryption]" in done.stdout
