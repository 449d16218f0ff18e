-- Rows and keys of all segments become those of one table each, with their ids as text.
CREATE TABLE all_events (
    source smallint NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    occurred_at bigint NOT NULL,
    funnel_stage smallint NOT NULL,
    event_type smallint NOT NULL,
    frame_id text COLLATE "C" NOT NULL,
    correlation_id text COLLATE "C" NOT NULL,
    traceparent text COLLATE "C",
    arrived_at bigint NOT NULL,
    stored_at bigint NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    user_name text COLLATE "C" NOT NULL,
    age smallint,
    gender smallint,
    followers bigint,
    country text COLLATE "C",
    city text COLLATE "C",
    action_time bigint,
    referrer smallint,
    video_id text COLLATE "C",
    ad_id text COLLATE "C",
    campaign_id text COLLATE "C",
    click_position smallint,
    device smallint,
    browser smallint,
    watch_time double precision,
    percentage_watched double precision,
    profile_id text COLLATE "C",
    purchased_item text COLLATE "C",
    purchase_amount bigint,
    frame_number bigint,
    origin integer
);
INSERT INTO all_events SELECT source, event_id, occurred_at, funnel_stage, event_type, frame_id, correlation_id,
    traceparent, arrived_at, stored_at, user_id, user_name, age, gender, followers, country, city, action_time, referrer,
    video_id, ad_id, campaign_id, click_position, device, browser, watch_time, percentage_watched, profile_id,
    purchased_item, purchase_amount, frame_number, origin
FROM stored_events;
CREATE TABLE all_event_keys (
    source smallint NOT NULL,
    key bytea NOT NULL,
    arrived_at bigint NOT NULL,
    stored_at bigint NOT NULL
);
-- A key of a later segment is of the id's code, which the build before does not look for.
INSERT INTO all_event_keys SELECT source, key, arrived_at, stored_at FROM event_keys;

DROP VIEW stored_events;
DROP FUNCTION weir_next_segment_version();
DROP TABLE events, event_keys, event_segments, segment_filters;
DROP FUNCTION weir_open_segment();
DROP FUNCTION weir_keep_event_keys(integer);
DROP FUNCTION weir_remove_segment(integer);
DROP FUNCTION weir_forget_segment(integer);
DROP FUNCTION weir_id(bytea);
DROP FUNCTION weir_code(text);

ALTER TABLE all_events RENAME TO events;
ALTER TABLE events ADD CONSTRAINT events_pkey PRIMARY KEY (source, event_id);
CREATE INDEX events_by_time ON events (occurred_at, source, funnel_stage, event_type);
CREATE INDEX events_by_storage ON events (stored_at);
CREATE INDEX events_by_person ON events
    USING brin (user_id text_bloom_ops (n_distinct_per_range = 4096, false_positive_rate = 0.01))
    WITH (pages_per_range = 128, autosummarize = on);
ALTER TABLE all_event_keys RENAME TO event_keys;
ALTER TABLE event_keys ADD CONSTRAINT event_keys_pkey PRIMARY KEY (source, key);
CREATE INDEX event_keys_by_arrival ON event_keys (arrived_at);
CREATE INDEX event_keys_by_storage ON event_keys (stored_at);
ALTER TABLE campaign_rollups SET (fillfactor = 50);
