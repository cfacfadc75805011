-- Indexes that make long lists of runs fast. They are an offer: reading is right without them.
-- Run it with psql, outside a transaction, on MLflow's database: psql "$MATIH_STORE_URI" -f matih-read-indexes.sql
-- `python -m benchmarks reads` prints what they give on your machine. To take them away: DROP INDEX CONCURRENTLY name.

-- An experiment's runs by time: a page is read from the index's end, and counting reads no rows.
CREATE INDEX CONCURRENTLY IF NOT EXISTS matih_runs_by_time
    ON runs (experiment_id, start_time DESC NULLS LAST, run_uuid DESC) INCLUDE (lifecycle_stage);

-- Whose a run is: every list looks for runs that are not their experiment's tenant's. A tenant has at most 63
-- characters; longer values name none, and would not fit into an index.
CREATE INDEX CONCURRENTLY IF NOT EXISTS matih_tags_tenant
    ON tags (run_uuid) INCLUDE (value) WHERE key = 'matih.tenant_id' AND length(value) <= 63;

-- Index-only reads need a fresh visibility map.
VACUUM (ANALYZE) runs;
VACUUM (ANALYZE) tags;
