"""Every database and both colours by a fixture each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from databases import KINDS
from engine.kit import Colour
from perdure import Database, connect


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, url_of: Callable[[str], str]) -> Iterator[Callable[..., Database]]:
    """Opens an empty database, with what `connect` takes."""
    url = url_of(request.param)
    with ExitStack() as stack:

        def open_one(**options: Any) -> Database:
            return stack.enter_context(connect(url, **options))

        yield open_one


@pytest.fixture
def db(opened: Callable[..., Database]) -> Database:
    """An empty database."""
    return opened()


@pytest.fixture(params=["blocking", "async"])
def run(request: pytest.FixtureRequest) -> Colour:
    """One of the two colours."""
    return Colour(request.param)
