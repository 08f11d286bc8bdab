"""What Perdure is tested with, for those who write savers, stores and backends of their own.

Import from the rooms: `stores` (conformance of a store). Free of pytest: a check is a function that raises
AssertionError.
"""
