"""Ids of checkpoints: `uuid6`, which sorts by time. It comes from the one place that makes ids."""

from perdure.clock import uuid6

__all__ = ["uuid6"]
