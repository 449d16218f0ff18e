-- Segments keep the summaries and the settings that they have.
DROP FUNCTION weir_summarize_persons(integer, bigint);
DO $$ DECLARE definition text := pg_get_functiondef('weir_open_segment()'::regprocedure); BEGIN
    definition := replace(definition, 'false_positive_rate = 0.001)', 'false_positive_rate = 0.01)');
    definition := replace(definition, 'autosummarize = off', 'autosummarize = on');
    definition := replace(definition, ' WITH (autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_scale_factor = 1)', '');
    EXECUTE definition;
END $$;
