"""Databases as commands name them: by URL, with a key that stands in the environment and never on a command line."""

from __future__ import annotations

import os

from perdure.errors import PerdureError

__all__ = ["check_there", "key_in"]


def check_there(url: str) -> None:
    """Raises PerdureError for a file that is not there: opening it would make one."""
    path = url.removeprefix("sqlite:///")
    if path not in (url, ":memory:") and not os.path.exists(path):
        raise PerdureError(f"{path}: there is no such database. Name it with --db sqlite:///FILE.")


def key_in(variable: str | None) -> str | None:
    """The key in that variable of the environment; None where none is named.

    Raises:
        PerdureError: there is no such variable, or it is empty.
    """
    if variable is None:
        return None
    key = os.environ.get(variable)
    if not key:
        raise PerdureError(f"the environment has no key in {variable}. Nothing was opened.")
    return key
