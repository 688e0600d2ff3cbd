-- What the server does by itself to keep tables in shape, and need not.
--
-- What nobody asks for by its value needs no statistics, and what grows by millions of rows an hour
-- is looked through by ANALYZE again and again: of ten arrays and thirty numbers a row it drew
-- 30,000 samples each time, seconds of a core, to no use. The columns that rows are asked for by
-- keep enough for a plan: their indexes are the only sensible way in.

DO $$
DECLARE
    asked_for CONSTANT name[] := ARRAY['node', 'known_offset', 'track_id', 'sensor', 'giver',
                                       'agreement', 'time', 'valid', 'received'];
    one record;
BEGIN
    FOR one IN
        SELECT attrelid::regclass AS place, attname AS field, attname = ANY (asked_for) AS asked
        FROM pg_attribute
        WHERE attrelid IN ('vedette.reports'::regclass, 'vedette.detections'::regclass,
                           'vedette.tracks'::regclass, 'vedette.foreign_updates'::regclass)
          AND attnum > 0 AND NOT attisdropped
    LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', one.place, one.field,
                       CASE WHEN one.asked THEN 25 ELSE 0 END);
    END LOOP;
END $$;

-- Rows of these tables are added and never changed, so a vacuum after so many of them could only
-- freeze them: it read and logged each page once more, all the time. Chunks are compressed or
-- dropped long before their rows must be frozen, and where rows are deleted one by one a vacuum
-- comes for those that are gone, as before.
ALTER TABLE vedette.reports SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE vedette.detections SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE vedette.tracks SET (autovacuum_vacuum_insert_threshold = -1);
ALTER TABLE vedette.foreign_updates SET (autovacuum_vacuum_insert_threshold = -1);

COMMENT ON TABLE vedette.writer_cursor IS
    'Never before the rows, and two seconds behind them at most: what lies between is passed over.';
COMMENT ON TABLE vedette.track_current IS
    'The newest update of each track, under load two seconds old at most.';
