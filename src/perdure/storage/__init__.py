"""What survives: backends behind one contract (`contract/`), and the pure code that turns values into rows.

Here: the contract, the reference backend (`memory/`), SQLite (`sqlite/`), deltas and chains.
Not here: what a step means (`engine`), the public savers and stores (`checkpoint`, `store`).
"""
