"""SQLite: the backend for one machine, any number of threads and processes.

Public: `SqliteBackend`, `open_backend`. The rest of this package is its inside.
"""

from perdure.storage.sqlite.backend import SqliteBackend, open_backend

__all__ = ["SqliteBackend", "open_backend"]
