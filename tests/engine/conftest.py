"""Every backend and both colours by a fixture each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from databases import KINDS
from engine.kit import Colour
from perdure import Database, connect


@pytest.fixture(params=KINDS)
def db(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Database]:
    """An empty database."""
    with connect(url_of(request.param)) as opened:
        yield opened


@pytest.fixture(params=["blocking", "async"])
def run(request: pytest.FixtureRequest) -> Colour:
    """One of the two colours."""
    return Colour(request.param)
