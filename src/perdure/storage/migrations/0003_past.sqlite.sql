-- Migration 3, SQLite: how far back memory can be read. `schema.sqlite.sql` has the same table with the reasons.

CREATE TABLE perdure_floor (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seq INTEGER NOT NULL
) STRICT;

-- What was pruned before this migration left no mark: of that time nobody can say what is missing.
INSERT INTO perdure_floor (one, seq)
SELECT 1, max(seq)
  FROM perdure_commits
HAVING max(seq) IS NOT NULL;
