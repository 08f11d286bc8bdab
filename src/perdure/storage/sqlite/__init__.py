"""SQLite: the backend for one machine, any number of threads and processes.

Public: `SqliteBackend`, `open_backend`, `due`. The rest of this package is its inside.
"""

from perdure.storage.sqlite.backend import SqliteBackend, open_backend
from perdure.storage.sqlite.looking import due

__all__ = ["SqliteBackend", "due", "open_backend"]
