"""The words of the checks."""

from __future__ import annotations

from typing import Final

__all__ = ["NOTES"]

NOTES: Final = ("users", "ada", "notes")
