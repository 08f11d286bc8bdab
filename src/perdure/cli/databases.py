"""Databases as commands name them: by URL, with a key that stands in the environment and never on a command line."""

from __future__ import annotations

import os

from perdure.errors import PerdureError

__all__ = ["check_there", "key_in"]


def check_there(url: str, *, tables: bool = True) -> None:
    """Raises PerdureError for a file that is not there, and for tables that are not: opening it would make them.

    Args:
        url: any.
        tables: False: a Postgres database may have none of ours yet.
    """
    from perdure.database import is_postgres, name_of

    if is_postgres(url):
        from perdure.admin import due

        if tables and due(url)[0] == 0:
            raise PerdureError(
                f"{name_of(url)}: there are no tables of Perdure's. Check schema= of the URL; `perdure db migrate` makes them."
            )
        return
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
