"""Postgres: the backend for many machines."""

from perdure.storage.postgres.backend import PostgresBackend, open_backend

__all__ = ["PostgresBackend", "open_backend"]
