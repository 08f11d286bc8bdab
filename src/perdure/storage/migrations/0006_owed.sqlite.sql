-- Migration 6, SQLite: items whose vectors are owed, which have the model 0. What is there already is owed none:
-- `reindex` embeds what lacks vectors. `schema.sqlite.sql` has the same index with the reason.

CREATE INDEX perdure_items_owed ON perdure_items (version) WHERE model = 0;
