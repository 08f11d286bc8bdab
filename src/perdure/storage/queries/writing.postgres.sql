-- What a commit says before it writes: transactions, locks by name, numbers that nobody else gets. Postgres only.

-- name: begin_write
-- Every statement sees what was committed before it began: what is read behind the locks is what stands.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;

-- name: begin_read
-- One moment for all questions.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: commit
-- The end of either.
COMMIT;

-- name: rollback
-- Nothing of it.
ROLLBACK;

-- name: lock
-- $1 keys in order, $2 the key of all commits, $3 how many seqs. Waits for each name of the commit, then counts as one that is
-- under way, and only then draws: so where two commits touch one name, their seqs follow their order.
WITH names AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(wanted.key) FROM unnest($1::bigint[]) AS wanted (key)
),
way AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared($2) FROM (SELECT count(*) FROM names) AS held
)
SELECT nextval('perdure_seq') FROM (SELECT count(*) FROM way) AS held, generate_series(1, $3);

-- name: lock_all
-- $1 the key of all commits, $2 how many seqs. As `lock`, for a commit that touches very much: it is under way alone, and counts
-- as one that is.
WITH alone AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($1)
),
way AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared($1) FROM (SELECT count(*) FROM alone) AS held
)
SELECT nextval('perdure_seq') FROM (SELECT count(*) FROM way) AS held, generate_series(1, $2);

-- name: sure
-- $1 chains, $2 their heads, $3 the seqs of these, $4 how many; $5 threads, $6 logs, $7 their numbers, $8 how many; $9 the commit's
-- id. An error (22012) if not all of it is so, or the commit was made already: what was remembered of a thread is proved before it is
-- written to, without a round trip, and what arrives late, when its sender has made it on another connection, is refused. One
-- seek each.
SELECT 1 / (
         (SELECT count(*)
            FROM unnest($1::bigint[], $2::bytea[], $3::bigint[]) AS wanted (chain, head, seq)
            JOIN LATERAL (
                   SELECT h.id, h.seq FROM perdure_checkpoints h WHERE h.chain = wanted.chain ORDER BY h.id DESC LIMIT 1
                 ) AS k ON k.id = wanted.head AND k.seq = wanted.seq) = $4
         AND
         (SELECT count(*)
            FROM unnest($5::bigint[], $6::bigint[], $7::bigint[]) AS wanted (thread, log, no)
            JOIN perdure_logs l ON l.thread = wanted.thread AND l.log = wanted.log AND l.no = wanted.no) = $8
         AND
         NOT EXISTS (SELECT 1 FROM perdure_commits c WHERE c.id = $9)
       )::int;

-- name: thread_numbers
-- The first of 32 numbers that nobody else gets.
SELECT nextval('perdure_thread_no');

-- name: chain_numbers
-- The first of 32 numbers that nobody else gets.
SELECT nextval('perdure_chain_no');

-- name: log_numbers
-- The first of 32 numbers that nobody else gets; NULL: all of 31 bits are given. It is asked for before it is known to be needed, so
-- there it must not fail.
SELECT CASE WHEN last_value < 2147483617 THEN nextval('perdure_log_no') END FROM perdure_log_no;

-- name: namespace_numbers
-- As `log_numbers`.
SELECT CASE WHEN last_value < 2147483617 THEN nextval('perdure_namespace_no') END FROM perdure_namespace_no;

-- name: drawn
-- The last seq that any commit has drawn, committed or not: a sequence is of no transaction.
SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM perdure_seq;

-- name: under_way
-- $1 and $2: the halves of the key of all commits. Transactions that may have drawn a seq and are not over: they let go of
-- it when what they wrote can be seen. Who holds it only to keep others out (`lock_way`) draws none.
SELECT virtualtransaction
  FROM pg_locks
 WHERE locktype = 'advisory'
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND classid = $1::oid
   AND objid = $2::oid
   AND objsubid = 1
   AND mode = 'ShareLock'
   AND granted;

-- name: here
-- Which cluster, database and timeline this is, and which tables: those of a dump that was restored in place are others. The
-- timeline is unknown to a replica.
SELECT (SELECT system_identifier FROM pg_control_system())::text,
       (SELECT oid FROM pg_database WHERE datname = current_database())::text,
       CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END,
       'perdure_commits'::regclass::oid::text;

-- name: written_up_to
-- Two places in the log: behind all that sessions with the settings of this one had committed before this was asked, and behind all
-- that could be seen. The latter may lie behind what is on disk, and a replica may get there late: where somebody commits without
-- waiting for the disk (synchronous_commit = off), or a row was tidied up in reading.
SELECT (CASE WHEN current_setting('synchronous_commit') = 'off' THEN pg_current_wal_insert_lsn()
             ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn)::bigint,
       (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint;

-- name: replayed_up_to
-- The place in the primary's log up to which a replica shows all commits; NULL: it is no replica.
SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0'::pg_lsn)::bigint END;

-- name: is_replica
-- Whether it follows another server.
SELECT pg_is_in_recovery();

-- name: origin
-- Where the newest commits were made, by what `here` said then.
SELECT cluster FROM perdure_origin WHERE one = 1;

-- name: set_origin
-- $1 what `here` says.
INSERT INTO perdure_origin AS o (one, cluster, jumps) VALUES (1, $1, 0)
    ON CONFLICT (one) DO UPDATE SET cluster = excluded.cluster, jumps = o.jumps + 1;

-- name: lock_way
-- $1 the key of all commits. None is under way, and none begins before this transaction ends.
SELECT pg_advisory_xact_lock($1);

-- name: jump
-- $1 how far. Later commits are behind all that any lost copy of this database may have promised.
SELECT setval('perdure_seq', greatest((SELECT max(seq) FROM perdure_commits), (SELECT last_value FROM perdure_seq), 1) + $1);
