"""The reference backend: plain dicts under one lock. What it answers is what every other backend must answer."""

from perdure.storage.memory.backend import MemoryBackend

__all__ = ["MemoryBackend"]
