"""A backend that somebody opened for a face, and how the face lets go of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from perdure.storage.contract import Backend

__all__ = ["Opened"]


class Opened(NamedTuple):
    """A backend, and how its user lets go of it."""

    backend: Backend
    let_go: Callable[[], object]
