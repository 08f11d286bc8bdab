"""Postgres: the backend for many machines.

Public: `PostgresBackend`, `open_backend`, `due`. The rest of this package is its inside.
"""

from perdure.storage.postgres.backend import PostgresBackend, open_backend
from perdure.storage.postgres.looking import due

__all__ = ["PostgresBackend", "due", "open_backend"]
