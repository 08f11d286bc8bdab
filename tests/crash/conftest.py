"""For the crash tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash.kit import Kept, kept_in


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Kept:
    """Gives an empty backend of a kind (see `databases.py`), as a context: it outlives the objects over it."""
    return lambda kind: kept_in(kind, tmp_path, lambda: request.getfixturevalue("postgres_urls")())
