"""The driver, imported here first: the one place that says what to do where it is missing."""

from __future__ import annotations

from perdure.errors import PerdureError

try:
    import psycopg
    from psycopg import pq
    from psycopg.adapt import Transformer
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.errors import error_from_result
    from psycopg.waiting import Wait
except ImportError as missing:  # psycopg itself, or the libpq that it needs
    raise PerdureError(
        f"Postgres needs psycopg, which cannot be imported ({missing}): pip install 'perdure[postgres]'."
    ) from missing

__all__ = ["Transformer", "Wait", "conninfo_to_dict", "error_from_result", "pq", "psycopg"]
