//! Segments on PostgreSQL: summaries of persons that name fewer blocks, a function that completes them, and no vacuum for
//! new rows.
//!
//! PostgreSQL makes a summary of a range of blocks when the range is full, and forgets the order where many ranges become
//! full at once. A search for a person then reads those ranges. So collectors order the summaries themselves.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const UP: &str = r"
-- Later segments have summaries that recognize a range without the person in all but one of a thousand cases, in place of
-- a hundred: a filter of 4,096 persons then just fits a block. And they are not vacuumed for their new rows, because their
-- rows stay as they are until the segment is dropped.
DO $$ DECLARE definition text := pg_get_functiondef('weir_open_segment()'::regprocedure); BEGIN
    definition := replace(definition, 'false_positive_rate = 0.01)', 'false_positive_rate = 0.001)');
    definition := replace(definition, 'autosummarize = on', 'autosummarize = off');
    definition := replace(definition, '(LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)',
        '(LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS) '
        'WITH (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 1)');
    EXECUTE definition;
END $$;

-- The same for the open segment, where it is still empty.
DO $$ DECLARE opened integer := (SELECT MAX(number) FROM event_segments); used boolean; BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM events_%s)', opened) INTO used;
    IF opened > 0 AND NOT used THEN
        EXECUTE format('DROP INDEX events_%s_by_person', opened);
        EXECUTE format('CREATE INDEX events_%s_by_person ON events_%1$s '
            'USING brin (user_code bytea_bloom_ops (n_distinct_per_range = 4096, false_positive_rate = 0.001)) '
            'WITH (pages_per_range = 96)', opened);
        EXECUTE format('ALTER TABLE events_%s SET '
            '(autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 1)', opened);
    END IF;
END $$;

-- Makes the missing summaries of persons of a segment, from a block on that begins a range. Returns the block behind the
-- last range that it looked at. In an open segment the newest ranges are left: every row that comes into a range with a
-- summary writes the summary anew. It gives up where a vacuum of the segment runs: that makes summaries too.
CREATE FUNCTION weir_summarize_persons(segment integer, first bigint) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '100ms' AS $$
DECLARE
    range_blocks constant integer := 96;
    summaries regclass := to_regclass(format('events_%s_by_person', segment));
    blocks bigint := pg_relation_size(to_regclass(format('events_%s', segment))) / current_setting('block_size')::integer;
BEGIN
    IF EXISTS (SELECT FROM event_segments WHERE number = segment AND closed_at IS NOT NULL) THEN
        PERFORM brin_summarize_new_values(summaries);
        RETURN first;
    END IF;
    WHILE first + 3 * range_blocks <= blocks LOOP
        PERFORM brin_summarize_range(summaries, first);
        first := first + range_blocks;
    END LOOP;
    RETURN first;
END $$;

-- Whoever may open a segment may call it.
DO $$ DECLARE grantee record; BEGIN
    EXECUTE format('ALTER FUNCTION weir_summarize_persons(integer, bigint) SET search_path = %I, pg_temp', current_schema());
    REVOKE ALL ON FUNCTION weir_summarize_persons(integer, bigint) FROM PUBLIC;
    FOR grantee IN
        SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS name
        FROM pg_proc CROSS JOIN LATERAL aclexplode(pg_proc.proacl) AS acl
        WHERE pg_proc.oid = 'weir_open_segment()'::regprocedure AND acl.grantee <> pg_proc.proowner
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION weir_summarize_persons(integer, bigint) TO %s', grantee.name);
    END LOOP;
END $$;
";
const DOWN: &str = r"
-- Segments keep the summaries and the settings that they have.
DROP FUNCTION weir_summarize_persons(integer, bigint);
DO $$ DECLARE definition text := pg_get_functiondef('weir_open_segment()'::regprocedure); BEGIN
    definition := replace(definition, 'false_positive_rate = 0.001)', 'false_positive_rate = 0.01)');
    definition := replace(definition, 'autosummarize = off', 'autosummarize = on');
    definition := replace(definition, ' WITH (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 1)', '');
    EXECUTE definition;
END $$;
";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::on_postgres(manager, UP).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        super::on_postgres(manager, DOWN).await
    }

    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }
}
