-- What partners gave us, apart from what is ours: their tracks are never detections here.
--
-- The partition's time is `received`, of our own clock: whatever a partner says of its times, a row
-- lands in the newest chunk, and what it gives late reaches no chunk that was compressed long ago.

CREATE TABLE vedette.foreign_updates (
    node            text COLLATE "C" NOT NULL,  -- ours
    known_offset    bigint NOT NULL,            -- our journal's offset of the input that brought it
    n               integer NOT NULL,           -- ordinal within that input
    received        timestamptz NOT NULL,       -- when our node took the input in
    received_ns     bigint NOT NULL,
    giver           text COLLATE "C" NOT NULL,  -- whose track it is
    agreement       text COLLATE "C" NOT NULL,  -- under which it was given
    seq             bigint NOT NULL,            -- row of the giver's ledger; 0: closed by ourselves
    sent_ns         bigint NOT NULL,            -- by the giver's clock
    path            text[] COLLATE "C" NOT NULL, -- nodes it passed, the giver first
    head            boolean NOT NULL,           -- newest of its track when it came
    valid           timestamptz NOT NULL,
    valid_ns        bigint NOT NULL,
    known_ns        bigint NOT NULL,            -- when the giver knew it, by its clock
    stale_ns        bigint NOT NULL,
    track_id        bigint NOT NULL,            -- of the giver: (giver, track_id) names a track
    number          text COLLATE "C" NOT NULL,
    authority_epoch integer NOT NULL,
    revision        integer NOT NULL,
    status          smallint NOT NULL,          -- model.tracks.Status
    reason          smallint NOT NULL,          -- model.tracks.UpdateReason
    affiliation     smallint NOT NULL,          -- model.tracks.Affiliation
    mode            smallint NOT NULL,
    identity_kind   smallint NOT NULL,
    identity        bytea,
    lat_rad         double precision,
    lon_rad         double precision,
    alt_m           double precision,
    east_mps        double precision,
    north_mps       double precision,
    up_mps          double precision,
    existence       double precision,
    covariance      double precision[],         -- 21: upper triangle by rows, E N U vE vN vU
    classes         real[],
    PRIMARY KEY (node, known_offset, n, received)
);
CREATE INDEX foreign_updates_track ON vedette.foreign_updates (node, giver, track_id, valid);
-- (giver, agreement, seq) names a row for both sides. The index is for finding it and not unique:
-- in a hypertable it would have to hold `received` too, and would then forbid nothing. That each
-- number is taken in once is the receiver's doing; the primary key keeps what was taken in from
-- being stored twice.
CREATE INDEX foreign_updates_seq ON vedette.foreign_updates (node, giver, agreement, seq)
    WHERE seq > 0;
COMMENT ON TABLE vedette.foreign_updates IS
    'Every track update that a partner gave us; nothing is ever rewritten.';

CREATE TABLE vedette.foreign_current (
    LIKE vedette.foreign_updates,
    PRIMARY KEY (node, giver, track_id)
) WITH (fillfactor = 60);
COMMENT ON TABLE vedette.foreign_current IS
    'The head of each track of a partner: of its rows that were newest when they came, the last.';

CREATE FUNCTION vedette.status_name(smallint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['tentative', 'confirmed', 'coasting', 'deleted'])[$1 + 1];
CREATE FUNCTION vedette.reason_name(smallint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['detected', 'missed', 'coasted', 'confirmed', 'lost', 'corrected', 'retracted',
                  'withdrawn'])[$1 + 1];
CREATE FUNCTION vedette.affiliation_name(smallint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['unknown', 'own', 'friend', 'neutral', 'suspect'])[$1 + 1];

-- As in 0002, which had no name for the reason 7.
CREATE OR REPLACE VIEW vedette.track_history AS
SELECT node, track_id, number, valid, to_timestamp(known_ns / 1e9) AS known, revision,
       vedette.status_name(status) AS status,
       vedette.reason_name(reason) AS reason,
       vedette.affiliation_name(affiliation) AS affiliation,
       degrees(lat_rad) AS lat_deg, degrees(lon_rad) AS lon_deg, alt_m,
       east_mps, north_mps, up_mps, existence, sensors,
       encode(identity, 'escape') AS identity, known_offset, n
FROM vedette.tracks;

CREATE VIEW vedette.foreign_history AS
SELECT node, giver, track_id, number, valid, to_timestamp(known_ns / 1e9) AS known,
       to_timestamp(sent_ns / 1e9) AS sent, received, revision,
       vedette.status_name(status) AS status,
       vedette.reason_name(reason) AS reason,
       vedette.affiliation_name(affiliation) AS affiliation,
       degrees(lat_rad) AS lat_deg, degrees(lon_rad) AS lon_deg, alt_m,
       east_mps, north_mps, up_mps, existence,
       encode(identity, 'escape') AS identity, agreement, seq, path, head, known_offset, n
FROM vedette.foreign_updates;

CREATE VIEW vedette.foreign_picture AS
SELECT node, giver, track_id, number, valid, to_timestamp(stale_ns / 1e9) AS stale, received,
       revision,
       vedette.status_name(status) AS status,
       vedette.affiliation_name(affiliation) AS affiliation,
       degrees(lat_rad) AS lat_deg, degrees(lon_rad) AS lon_deg, alt_m,
       east_mps, north_mps, up_mps, existence,
       encode(identity, 'escape') AS identity, agreement
FROM vedette.foreign_current
WHERE status <> 3;
