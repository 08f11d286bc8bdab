-- Migration 7, SQLite: which items were made right before and behind another. `schema.sqlite.sql` has the same index with the
-- reasons.

CREATE INDEX perdure_versions_by_birth ON perdure_versions (item >> 32, coalesce(created, updated), item) WHERE ended IS NULL;
