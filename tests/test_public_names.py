"""The package's face: every public name is there, once, and typed as it runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import perdure


def test_all_is_what_can_be_fetched() -> None:
    rooms = {name for names in perdure._ROOMS.values() for name in names}

    assert sorted({*rooms, "__version__"}) == sorted(perdure.__all__)


def test_type_checkers_see_the_names_where_they_are_fetched_from() -> None:
    source = Path(perdure.__file__ or "").read_text(encoding="utf-8")
    (checking,) = (node for node in ast.parse(source).body if isinstance(node, ast.If))
    seen = {
        node.module: tuple(sorted(alias.name for alias in node.names))
        for node in checking.body
        if isinstance(node, ast.ImportFrom)
    }

    assert seen == {room: tuple(sorted(names)) for room, names in perdure._ROOMS.items()}


@pytest.mark.parametrize("name", perdure.__all__)
def test_a_public_name_can_be_fetched(name: str) -> None:
    assert getattr(perdure, name) is not None
    assert name in dir(perdure)


def test_a_name_that_is_not_public_is_an_ordinary_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'conect'"):
        perdure.conect  # noqa: B018 - to look is what is tested
