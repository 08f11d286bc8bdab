-- What a commit says before it writes: transactions, locks by name, numbers that nobody else gets. Postgres only.

-- name: begin_write
-- Every statement sees what was committed before it began: what is read behind the locks is what stands.
BEGIN ISOLATION LEVEL READ COMMITTED;

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

-- name: lock_briefly
-- As `lock`; $4 is how long this transaction waits for any lock, as lock_timeout has it. Told here, it costs the server 3 us; as a
-- statement of its own it would cost ten times as much.
WITH names AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(wanted.key)
      FROM (SELECT set_config('lock_timeout', $4, true)) AS told, unnest($1::bigint[]) AS wanted (key)
),
way AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared($2) FROM (SELECT count(*) FROM names) AS held
)
SELECT nextval('perdure_seq') FROM (SELECT count(*) FROM way) AS held, generate_series(1, $3);

-- name: lock_one
-- $1 key, $2 the key of all commits, $3 how long it waits, as lock_timeout has it. As `lock_briefly`, of one name and for one seq, which is
-- a step: without a plan for sets, a third less of the server's work. Only CASE says what comes first.
-- https://www.postgresql.org/docs/current/sql-expressions.html#SYNTAX-EXPRESS-EVAL
SELECT CASE WHEN set_config('lock_timeout', $3, true) IS NOT NULL THEN
       CASE WHEN pg_advisory_xact_lock($1) IS NOT NULL THEN
       CASE WHEN pg_advisory_xact_lock_shared($2) IS NOT NULL THEN
       nextval('perdure_seq') END END END;

-- name: lock_free
-- $1 keys, $2 the key of all commits, $3 how many seqs. As `lock`, and waits for no name: gives the keys that others have
-- (true), and the seqs (false).
WITH names AS MATERIALIZED (
    SELECT wanted.key, pg_try_advisory_xact_lock(wanted.key) AS held FROM unnest($1::bigint[]) AS wanted (key)
),
way AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared($2) FROM (SELECT count(*) FROM names) AS held
)
SELECT false AS taken, nextval('perdure_seq') AS number
  FROM (SELECT count(*) FROM way) AS held, generate_series(1, $3)
UNION ALL
SELECT true, key FROM names WHERE NOT held;

-- name: lock_all
-- $1 the key of all commits, $2 how many seqs, $3 how long it may take, as lock_timeout has it; '' is as long as the session is
-- told. All others wait behind this while it waits. As `lock`, for a commit that touches very much: it is under way alone, and
-- counts as one that is.
WITH was AS MATERIALIZED (
    SELECT current_setting('lock_timeout') AS patience
),
brief AS MATERIALIZED (
    SELECT set_config('lock_timeout', coalesce(nullif($3, ''), patience), true) FROM was
),
alone AS MATERIALIZED (
    SELECT pg_advisory_xact_lock($1) FROM (SELECT count(*) FROM brief) AS told
),
patient AS MATERIALIZED (
    SELECT set_config('lock_timeout', patience, true) FROM was, (SELECT count(*) FROM alone) AS held
),
way AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared($1) FROM (SELECT count(*) FROM patient) AS told
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

-- name: sure_of_one
-- $1 chain, $2 its head, $3 the seq of this; $4 thread, $5 log, $6 its number (all NULL: no log); $7 the commit's id. As `sure`, of
-- one chain and one log at most, which is a step: half the server's work.
SELECT 1 / (
         coalesce((SELECT k.id = $2::bytea AND k.seq = $3::bigint
                     FROM (SELECT h.id, h.seq FROM perdure_checkpoints h WHERE h.chain = $1::bigint ORDER BY h.id DESC LIMIT 1)
                          AS k), FALSE)
         AND
         ($4::bigint IS NULL
          OR EXISTS (SELECT 1 FROM perdure_logs l WHERE l.thread = $4::bigint AND l.log = $5::bigint AND l.no = $6::bigint))
         AND
         NOT EXISTS (SELECT 1 FROM perdure_commits c WHERE c.id = $7::bytea)
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
