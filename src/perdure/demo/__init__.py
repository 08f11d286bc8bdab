"""A whole play as a test of memory: what `perdure demo` runs.

Here: the play and its parser (`play.py`), the graph that listens to it (`run.py`), what is printed (`report.py`).
Not here: arguments (`perdure.cli`). Stands on the public names of Perdure only, as a user's program would.
"""
