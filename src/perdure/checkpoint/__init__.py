"""Savers: what keeps a thread's checkpoints. Import from the rooms.

    base      the interface, and the values that cross it
    memory    `InMemorySaver`
    sqlite    `SqliteSaver`; `.aio` for its name in async programs
    serde     serializers, for those who bring their own

Here, too: `face.py`, what all savers of Perdure have in common over a database (`storage`).
"""
