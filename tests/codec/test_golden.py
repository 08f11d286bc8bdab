"""What was ever written stays readable: bytes of format 1, one file a type, are decoded forever.

A file is never rewritten. For a new type run `PYTHONPATH=src:tests python -m codec.test_golden`, which adds what is missing.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from codec.same import same
from codec.samples import SAMPLES, known
from perdure.codec import AesGcm, Codec

GOLDEN = Path(__file__).parent / "golden" / "format1"
KEY = bytes(range(32))


def file_of(name: str) -> Path:
    return GOLDEN / f"{name.replace(' ', '_')}.bin"


@pytest.mark.parametrize("name", SAMPLES)
def test_bytes_of_format_1_are_still_read(name: str) -> None:
    back = Codec(known()).decode(file_of(name).read_bytes())

    assert same(back, SAMPLES[name])


def test_sealed_bytes_of_format_1_are_still_read() -> None:
    codec = Codec(known(), cipher=AesGcm(KEY))

    assert same(codec.decode(file_of("sealed").read_bytes(), aad=b"golden"), SAMPLES["mixed"])


def add_missing() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, value in SAMPLES.items():
        if not file_of(name).exists():
            file_of(name).write_bytes(Codec(known()).encode(value))
    if not file_of("sealed").exists():
        sealed = Codec(known(), cipher=AesGcm(KEY)).encode(SAMPLES["mixed"], aad=b"golden")
        file_of("sealed").write_bytes(sealed)


if __name__ == "__main__":
    add_missing()
