"""Every backend and both colours by a fixture each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.kit import Colour
from perdure import Database, connect


@pytest.fixture(params=["memory", "sqlite"])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    url = "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/test.db"
    with connect(url) as opened:
        yield opened


@pytest.fixture(params=["blocking", "async"])
def run(request: pytest.FixtureRequest) -> Colour:
    """One of the two colours."""
    return Colour(request.param)
