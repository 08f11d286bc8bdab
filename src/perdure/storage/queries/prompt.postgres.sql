-- Searches of one round trip: whether what is remembered of a subtree's vectors is still so, and the items that were found by it. Each
-- is one statement, so of one moment. Postgres only. A standby's snapshots do not name all that they do not see, so there no moment is the
-- same as another.

-- name: spaces_digest
-- $1 first namespace, $2 end, $3 name of the model, $4 a moment. The moment of this answer; and of what `vector_spaces` would say, a digest of 17
-- bytes and more; NULL: the moment is the given one, so nothing is different. One range of namespaces, one seek each, if at all.
SELECT m.moment,
       CASE WHEN m.moment <> $4
            THEN (SELECT int8send(count(*)) || int8send(coalesce(bit_xor(hashint8extended(n.no, s.changed)), 0))
                         || int8send(coalesce(bit_xor(hashint8extended(s.changed, n.no)), 0))
                    FROM perdure_namespaces n
                    JOIN LATERAL (
                           SELECT w.items, w.changed
                             FROM perdure_vector_spaces w
                            WHERE w.space = n.no AND w.model = (SELECT x.no FROM perdure_indexes x WHERE x.name = $3)
                           OFFSET 0
                         ) AS s ON s.items > 0
                   WHERE n.name >= $1
                     AND n.name < $2)
       END
  FROM (SELECT convert_to(pg_current_snapshot()::text
                          || CASE WHEN pg_is_in_recovery() THEN clock_timestamp()::text ELSE '' END, 'UTF8') AS moment OFFSET 0) AS m;

-- name: found_in_few
-- $1 first namespace, $2 end, $3 number of the model, $4 items, $5 now. As `vector_spaces`: number, name, NULL, items, changed. And the live items
-- among these, without the names of their namespaces. One range of namespaces, one seek each; one seek an item and table.
(SELECT n.no, n.name, NULL::bytea, s.items, s.changed, NULL::bigint, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea,
        NULL::bytea, NULL::bigint, NULL::bigint
   FROM perdure_namespaces n
   JOIN LATERAL (
          SELECT w.items, w.changed
            FROM perdure_vector_spaces w
           WHERE w.space = n.no AND w.model = $3
          OFFSET 0
        ) AS s ON s.items > 0
  WHERE n.name >= $1
    AND n.name < $2
  ORDER BY n.name)
UNION ALL
SELECT i.id, NULL::bytea, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_items i
  JOIN perdure_versions v ON v.version = i.version
 WHERE i.id = ANY ($4::bigint[])
   AND i.alive <> 0
   AND (i.expires IS NULL OR i.expires > $5);

-- name: found_in_many
-- $1 first namespace, $2 end, $3 name of the model, $4 a moment, $5 items, $6 now. As `spaces_digest`: NULL, moment, digest. And the live items
-- among these. One range of namespaces, one seek each, if at all; one seek an item and table.
SELECT NULL::bigint, m.moment,
       CASE WHEN m.moment <> $4
            THEN (SELECT int8send(count(*)) || int8send(coalesce(bit_xor(hashint8extended(n.no, s.changed)), 0))
                         || int8send(coalesce(bit_xor(hashint8extended(s.changed, n.no)), 0))
                    FROM perdure_namespaces n
                    JOIN LATERAL (
                           SELECT w.items, w.changed
                             FROM perdure_vector_spaces w
                            WHERE w.space = n.no AND w.model = (SELECT x.no FROM perdure_indexes x WHERE x.name = $3)
                           OFFSET 0
                         ) AS s ON s.items > 0
                   WHERE n.name >= $1
                     AND n.name < $2)
       END,
       NULL::bigint, NULL::bigint, NULL::bigint, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea, NULL::bytea,
       NULL::bigint, NULL::bigint
  FROM (SELECT convert_to(pg_current_snapshot()::text
                          || CASE WHEN pg_is_in_recovery() THEN clock_timestamp()::text ELSE '' END, 'UTF8') AS moment OFFSET 0) AS m
UNION ALL
SELECT i.id, n.name, i.key, v.version, v.created, v.updated, v.thread, v.checkpoint, v.node, v.actor, v.value, i.paths, v.expires, v.ttl
  FROM perdure_items i
  JOIN perdure_versions v ON v.version = i.version
  JOIN perdure_namespaces n ON n.no = i.id >> 32
 WHERE i.id = ANY ($5::bigint[])
   AND i.alive <> 0
   AND (i.expires IS NULL OR i.expires > $6);
