"""Memory across threads: the public stores, thin faces over `storage`.

Here: nothing of its own; import from the rooms: `base` (the interface), `memory`, `sqlite`.
"""
