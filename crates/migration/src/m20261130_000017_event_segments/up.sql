-- The id of a code, and the code of an id: `id_code.rs` of weir-database explains them.
CREATE FUNCTION weir_id(code bytea) RETURNS text IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN substring(code FROM 1 FOR 1) = '\xff'
    THEN convert_from(substring(code FROM 18), 'UTF8') || encode(substring(code FROM 2 FOR 16), 'hex')::uuid::text
    ELSE convert_from(code, 'UTF8') END;

CREATE FUNCTION weir_code(id text) RETURNS bytea IMMUTABLE PARALLEL SAFE
RETURN CASE WHEN id ~ '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
    THEN '\xff'::bytea || decode(replace("right"(id, 36), '-', ''), 'hex') || convert_to("left"(id, -36), 'UTF8')
    ELSE convert_to(id, 'UTF8') END;

-- The tables become segment 0 of partitioned ones. Their columns keep their places, and so does every row.
ALTER TABLE events RENAME TO events_0;
ALTER TABLE events_0 RENAME CONSTRAINT events_pkey TO events_0_pkey;
ALTER INDEX events_by_time RENAME TO events_0_by_time;
ALTER INDEX events_by_storage RENAME TO events_0_by_storage;
ALTER INDEX events_by_person RENAME TO events_0_by_person;
ALTER TABLE event_keys RENAME TO event_keys_0;
ALTER TABLE event_keys_0 RENAME CONSTRAINT event_keys_pkey TO event_keys_0_pkey;
ALTER INDEX event_keys_by_arrival RENAME TO event_keys_0_by_arrival;
ALTER INDEX event_keys_by_storage RENAME TO event_keys_0_by_storage;

-- Columns stand in the order of their alignment, so that a row has no padding. Those behind `purchased_item` are of
-- segment 0 alone. Their new names keep a build of before from taking their nulls for values: it gets an error.
CREATE TABLE events (
    occurred_at bigint NOT NULL,
    arrived_at bigint NOT NULL,
    frame_number bigint,
    action_time bigint,
    followers bigint,
    purchase_amount bigint,
    watch_time double precision,
    percentage_watched double precision,
    segment integer NOT NULL,
    origin integer,
    source smallint NOT NULL,
    funnel_stage smallint NOT NULL,
    event_type smallint NOT NULL,
    age smallint,
    gender smallint,
    referrer smallint,
    click_position smallint,
    device smallint,
    browser smallint,
    event_code bytea,
    user_code bytea,
    user_name text COLLATE "C" NOT NULL,
    country text COLLATE "C",
    city text COLLATE "C",
    video_code bytea,
    ad_code bytea,
    campaign_code bytea,
    profile_code bytea,
    purchased_item text COLLATE "C",
    stored_at bigint,
    old_event_id text COLLATE "C",
    old_user_id text COLLATE "C",
    old_video_id text COLLATE "C",
    old_ad_id text COLLATE "C",
    old_campaign_id text COLLATE "C",
    old_profile_id text COLLATE "C",
    frame_id text COLLATE "C",
    correlation_id text COLLATE "C",
    traceparent text COLLATE "C"
) PARTITION BY LIST (segment);

CREATE TABLE event_keys (
    arrived_at bigint NOT NULL,
    stored_at bigint NOT NULL,
    segment integer NOT NULL,
    source smallint NOT NULL,
    key bytea NOT NULL
) PARTITION BY LIST (segment);

CREATE TABLE event_segments (
    number integer PRIMARY KEY,
    opened_at bigint NOT NULL,
    closed_at bigint,
    removed_at bigint,
    version bigint NOT NULL
);

-- The version of the next change of a segment: later than every other, and another one after a restore.
CREATE FUNCTION weir_next_segment_version() RETURNS bigint
RETURN GREATEST((extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
    (SELECT COALESCE(MAX(version), 0) + 1 FROM event_segments));

CREATE TABLE segment_filters (
    segment integer NOT NULL,
    source smallint NOT NULL,
    part integer NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (segment, source, part)
);
ALTER TABLE segment_filters ALTER COLUMN data SET STORAGE EXTERNAL;

-- The rows of all segments with their ids as text.
CREATE VIEW stored_events AS SELECT
    events.source,
    COALESCE(events.old_event_id, weir_id(events.event_code)) AS event_id,
    events.occurred_at,
    events.funnel_stage,
    events.event_type,
    COALESCE(events.frame_id, '') AS frame_id,
    COALESCE(events.correlation_id, '') AS correlation_id,
    events.traceparent,
    events.arrived_at,
    COALESCE(events.stored_at,
        (SELECT frame_origins.stored_at FROM frame_origins WHERE frame_origins.number = events.frame_number),
        events.arrived_at) AS stored_at,
    COALESCE(events.old_user_id, weir_id(events.user_code)) AS user_id,
    events.user_name,
    events.age,
    events.gender,
    events.followers,
    events.country,
    events.city,
    events.action_time,
    events.referrer,
    COALESCE(events.old_video_id, weir_id(events.video_code)) AS video_id,
    COALESCE(events.old_ad_id, weir_id(events.ad_code)) AS ad_id,
    COALESCE(events.old_campaign_id, weir_id(events.campaign_code)) AS campaign_id,
    events.click_position,
    events.device,
    events.browser,
    events.watch_time,
    events.percentage_watched,
    COALESCE(events.old_profile_id, weir_id(events.profile_code)) AS profile_id,
    events.purchased_item,
    events.purchase_amount,
    events.frame_number,
    CASE WHEN events.frame_number IS NOT NULL THEN COALESCE(events.origin, 0) END AS origin,
    events.segment,
    events.event_code,
    events.old_event_id
FROM events;

-- Whoever could use a table that got another name can use what took its place.
DO $$ DECLARE granted record; BEGIN
    FOR granted IN
        SELECT split.successor, acl.privilege_type,
            CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS grantee
        FROM (VALUES ('events_0', 'events'), ('events_0', 'stored_events'), ('event_keys_0', 'event_keys'))
                AS split (table_name, successor)
            JOIN pg_class ON pg_class.oid = to_regclass(split.table_name)
            CROSS JOIN LATERAL aclexplode(pg_class.relacl) AS acl
        WHERE acl.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE') AND acl.grantee <> pg_class.relowner
    LOOP
        IF granted.successor <> 'stored_events' OR granted.privilege_type = 'SELECT' THEN
            EXECUTE format('GRANT %s ON %I TO %s', granted.privilege_type, granted.successor, granted.grantee);
        END IF;
    END LOOP;
END $$;

DO $$ BEGIN
    IF EXISTS (SELECT FROM events_0) OR EXISTS (SELECT FROM event_keys_0) THEN
        ALTER TABLE events_0 ADD COLUMN segment integer NOT NULL DEFAULT 0,
            ADD COLUMN event_code bytea, ADD COLUMN user_code bytea, ADD COLUMN video_code bytea,
            ADD COLUMN ad_code bytea, ADD COLUMN campaign_code bytea, ADD COLUMN profile_code bytea,
            ALTER COLUMN user_id DROP NOT NULL;
        ALTER TABLE events_0 RENAME COLUMN event_id TO old_event_id;
        ALTER TABLE events_0 RENAME COLUMN user_id TO old_user_id;
        ALTER TABLE events_0 RENAME COLUMN video_id TO old_video_id;
        ALTER TABLE events_0 RENAME COLUMN ad_id TO old_ad_id;
        ALTER TABLE events_0 RENAME COLUMN campaign_id TO old_campaign_id;
        ALTER TABLE events_0 RENAME COLUMN profile_id TO old_profile_id;
        ALTER TABLE events ATTACH PARTITION events_0 FOR VALUES IN (0);
        ALTER TABLE event_keys_0 ADD COLUMN segment integer NOT NULL DEFAULT 0;
        ALTER TABLE event_keys ATTACH PARTITION event_keys_0 FOR VALUES IN (0);
        INSERT INTO event_segments (number, opened_at, closed_at, version)
            VALUES (0, 0, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0);
    ELSE
        DROP TABLE events_0;
        DROP TABLE event_keys_0;
    END IF;
END $$;

-- Opens a segment for the rows from now on, and closes the one before. Storing waits meanwhile, so that no transaction
-- stores on both sides of the border.
CREATE FUNCTION weir_open_segment() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '1s' AS $$
DECLARE
    opened integer := (SELECT COALESCE(MAX(number), 0) + 1 FROM event_segments);
    now bigint;
BEGIN
    EXECUTE format('CREATE TABLE events_%s (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', opened);
    EXECUTE format('ALTER TABLE events_%s ALTER COLUMN event_code SET NOT NULL', opened);
    EXECUTE format('CREATE UNIQUE INDEX events_%s_identity ON events_%1$s (source, event_code)', opened);
    EXECUTE format('CREATE INDEX events_%s_by_time ON events_%1$s (occurred_at, source, funnel_stage, event_type)', opened);
    -- A range has some 4,000 rows, so that a summary fits one block of the index.
    EXECUTE format('CREATE INDEX events_%s_by_person ON events_%1$s '
        'USING brin (user_code bytea_bloom_ops (n_distinct_per_range = 4096, false_positive_rate = 0.01)) '
        'WITH (pages_per_range = 96, autosummarize = on)', opened);
    PERFORM pg_advisory_xact_lock({store_lock});
    EXECUTE format('ALTER TABLE events ATTACH PARTITION events_%s FOR VALUES IN (%1$s)', opened);
    now := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint;
    UPDATE event_segments SET closed_at = now WHERE closed_at IS NULL;
    INSERT INTO event_segments (number, opened_at, version) VALUES (opened, now, weir_next_segment_version());
    RETURN opened;
END $$;

-- Makes the keys of a closed segment's rows, in a table beside, so that the removal of the rows needs no time. A removal
-- that does not get through leaves the table for the next one: no row of a closed segment comes or goes.
CREATE FUNCTION weir_keep_event_keys(closed integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    stored bigint := (SELECT closed_at FROM event_segments WHERE number = closed AND removed_at IS NULL);
BEGIN
    IF stored IS NULL OR closed = 0 THEN
        RAISE 'segment % is not closed, or its rows are removed', closed;
    END IF;
    IF to_regclass('event_keys_' || closed) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE event_keys_%s (LIKE event_keys INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', closed);
    EXECUTE format('INSERT INTO event_keys_%s (arrived_at, stored_at, segment, source, key) '
        'SELECT arrived_at, %s, %1$s, source, substring(sha256(event_code) FROM 1 FOR 16) FROM events_%1$s',
        closed, stored);
    EXECUTE format('CREATE UNIQUE INDEX event_keys_%s_identity ON event_keys_%1$s (source, key)', closed);
END $$;

-- Removes a closed segment's rows, whose keys were made before. Storing waits meanwhile, so that no transaction finds
-- an event neither as a row nor as a key.
CREATE FUNCTION weir_remove_segment(closed integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '1s' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({store_lock});
    -- Whoever reads or stores waits behind this transaction, while it waits for a report to end.
    PERFORM set_config('lock_timeout', '200ms', true);
    IF NOT EXISTS (SELECT FROM event_segments WHERE number = closed AND closed_at IS NOT NULL AND removed_at IS NULL) THEN
        RAISE 'segment % is not closed, or its rows are removed', closed;
    END IF;
    IF closed = 0 THEN
        IF EXISTS (SELECT FROM events WHERE segment = 0) THEN
            RAISE 'segment 0 has rows';
        END IF;
    ELSE
        EXECUTE format('ALTER TABLE event_keys ATTACH PARTITION event_keys_%s FOR VALUES IN (%1$s)', closed);
    END IF;
    EXECUTE format('DROP TABLE events_%s', closed);
    UPDATE event_segments SET removed_at = (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
        version = weir_next_segment_version() WHERE number = closed;
END $$;

-- Forgets the keys of a segment whose rows were removed.
CREATE FUNCTION weir_forget_segment(removed integer) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET lock_timeout = '1s' AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({store_lock});
    PERFORM set_config('lock_timeout', '200ms', true);
    IF NOT EXISTS (SELECT FROM event_segments WHERE number = removed AND removed_at IS NOT NULL) THEN
        RAISE 'the rows of segment % are not removed', removed;
    END IF;
    IF removed = 0 AND EXISTS (SELECT FROM event_keys WHERE segment = 0) THEN
        RAISE 'segment 0 has keys';
    END IF;
    EXECUTE format('DROP TABLE event_keys_%s', removed);
    DELETE FROM segment_filters WHERE segment = removed;
    DELETE FROM event_segments WHERE number = removed;
    UPDATE event_segments SET version = weir_next_segment_version()
        WHERE number = (SELECT MAX(number) FROM event_segments);
END $$;

-- Functions that change the schema run with the owner's rights and see this schema alone. Whoever may write events may
-- call them.
DO $$ DECLARE name text; grantee record; BEGIN
    FOREACH name IN ARRAY ARRAY['weir_open_segment()', 'weir_keep_event_keys(integer)', 'weir_remove_segment(integer)',
        'weir_forget_segment(integer)']
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', name, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', name);
        FOR grantee IN
            SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END AS name
            FROM pg_class CROSS JOIN LATERAL aclexplode(pg_class.relacl) AS acl
            WHERE pg_class.oid = to_regclass('events') AND acl.privilege_type = 'INSERT' AND acl.grantee <> pg_class.relowner
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', name, grantee.name);
        END LOOP;
    END LOOP;
END $$;

SELECT weir_open_segment();

-- A campaign's sums hardly change once there are many campaigns, and those of few take no room.
ALTER TABLE campaign_rollups SET (fillfactor = 90);
