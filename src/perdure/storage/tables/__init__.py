"""What both SQL databases have in common: the tables, as rows of values; what a commit does to them, what is asked of them.

Statements go by the name of their block; each backend has SQL files of its own with the same names, values and columns.
Here: values and names. Not here: SQL, drivers, transactions (`storage/sqlite`, `storage/postgres`).
"""
