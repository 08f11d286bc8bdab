-- Migration 5, SQLite: items that expire. What is there already lives for ever. `schema.sqlite.sql` has the same columns with
-- the reasons.

ALTER TABLE perdure_items ADD COLUMN expires INTEGER;

ALTER TABLE perdure_versions ADD COLUMN expires INTEGER;

ALTER TABLE perdure_versions ADD COLUMN ttl INTEGER;

CREATE INDEX perdure_items_by_end ON perdure_items (expires, version) WHERE expires IS NOT NULL;
