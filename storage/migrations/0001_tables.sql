-- What was received, what became of it, and how far the writer has come.
--
-- Times: nanoseconds are exact (bigint, UTC since 1970); a timestamptz beside them has the same
-- moment cut to microseconds, for people and for partitions. Angles are radians, as fusion has
-- them, because degrees would not come back bit by bit; the views of 0002 show degrees.
-- NULL means not measured. Every key column is NOT NULL and holds the partition's time, so that
-- the same tables can become hypertables (storage/timescale.py).

CREATE TABLE vedette.reports (
    node            text COLLATE "C" NOT NULL,
    known_offset    bigint NOT NULL,            -- journal offset of the input that held it
    report          integer NOT NULL,           -- ordinal among the reports of that input
    time            timestamptz NOT NULL,
    time_ns         bigint NOT NULL,
    received_ns     bigint NOT NULL,
    sensor          text COLLATE "C" NOT NULL,
    boot            bytea,
    seq             bigint,
    mode            smallint NOT NULL,
    origin_lat_rad  double precision,
    origin_lon_rad  double precision,
    origin_alt_m    double precision,
    heading_rad     double precision,
    origin_east_mps double precision,
    origin_north_mps double precision,
    origin_up_mps   double precision,
    looked_range_min_m double precision,
    looked_range_max_m double precision,
    looked_azimuth_from_rad double precision,
    looked_azimuth_to_rad double precision,
    looked_polygon  double precision[],         -- latitude, longitude, latitude, ... rad
    PRIMARY KEY (node, known_offset, report, time)
);
COMMENT ON TABLE vedette.reports IS
    'What one sensor said at one time; a report without detections looked and saw nothing.';

CREATE TABLE vedette.detections (
    node            text COLLATE "C" NOT NULL,
    known_offset    bigint NOT NULL,
    report          integer NOT NULL,
    n               integer NOT NULL,           -- ordinal among the detections of the report
    item            integer NOT NULL,           -- ordinal as sent, before the gate
    time            timestamptz NOT NULL,
    time_ns         bigint NOT NULL,
    sensor          text COLLATE "C" NOT NULL,
    kind            smallint NOT NULL,          -- model.detections.DetectionKind
    lat_rad         double precision,
    lon_rad         double precision,
    alt_m           double precision,
    covariance_m2   double precision[],         -- EE, EN, NN, EU, NU, UU
    range_m         double precision,
    azimuth_rad     double precision,
    elevation_rad   double precision,
    range_rate_mps  double precision,
    sigma_range_m   double precision,
    sigma_azimuth_rad double precision,
    sigma_elevation_rad double precision,
    sigma_range_rate_mps double precision,
    radius_m        double precision,
    line            double precision[],         -- latitude, longitude, latitude, ... rad
    direction       smallint NOT NULL,
    east_mps        double precision,
    north_mps       double precision,
    up_mps          double precision,
    sigma_velocity_mps double precision,
    snr_db          double precision,
    identity_kind   smallint NOT NULL,          -- model.detections.IdentityKind
    identity        bytea,
    classes         real[],                     -- in the order of model.taxonomy.CLASSES
    PRIMARY KEY (node, known_offset, report, n, time)
);
COMMENT ON TABLE vedette.detections IS 'Gated detections, as received.';

CREATE TABLE vedette.tracks (
    node            text COLLATE "C" NOT NULL,
    known_offset    bigint NOT NULL,            -- journal offset after which it was known
    n               integer NOT NULL,           -- ordinal among the updates of that input
    valid           timestamptz NOT NULL,
    valid_ns        bigint NOT NULL,
    known_ns        bigint NOT NULL,
    stale_ns        bigint NOT NULL,
    track_id        bigint NOT NULL,
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
    sensors         text[] COLLATE "C" NOT NULL, -- newest first
    PRIMARY KEY (node, known_offset, n, valid)
);
CREATE INDEX tracks_track ON vedette.tracks (node, track_id, valid);
COMMENT ON TABLE vedette.tracks IS 'Every track update; nothing is ever rewritten.';

CREATE TABLE vedette.track_current (
    LIKE vedette.tracks,
    PRIMARY KEY (node, track_id)
) WITH (fillfactor = 60);
COMMENT ON TABLE vedette.track_current IS 'The newest update of each track.';

CREATE TABLE vedette.quarantine (
    node            text COLLATE "C" NOT NULL,
    known_offset    bigint NOT NULL,            -- journal offset of the input that holds the bytes
    n               integer NOT NULL,           -- ordinal among the refusals of that input
    item            integer NOT NULL,           -- position within the input; -1: all of it
    published       timestamptz NOT NULL,       -- when the node said so
    sensor          text COLLATE "C" NOT NULL,
    reason          text COLLATE "C" NOT NULL,  -- model.errors.Reason
    detail          text NOT NULL,
    PRIMARY KEY (node, known_offset, n)
);
CREATE INDEX quarantine_sensor ON vedette.quarantine (node, sensor, known_offset);
COMMENT ON TABLE vedette.quarantine IS 'What was refused, why, and where its bytes are.';

CREATE TABLE vedette.writer_cursor (
    node            text COLLATE "C" PRIMARY KEY,
    next_offset     bigint NOT NULL,            -- of the output log, not of the journal
    through         bigint NOT NULL,            -- last journal offset that is covered
    updated         timestamptz NOT NULL
);
COMMENT ON TABLE vedette.writer_cursor IS
    'Moved in the transaction that stores the rows: nothing is lost and nothing doubled.';
