"""Postgres: the backend for many machines."""
