"""Compiled graphs: the faces of the engine that users call.

Here: `CompiledGraph` (`compiled.py`), how a call becomes a run (`launch.py`), snapshots and updates of threads.
Not here: drawing (`graph`), the loop (`engine`).
"""

from perdure.pregel.compiled import CompiledGraph

__all__ = ["CompiledGraph"]
