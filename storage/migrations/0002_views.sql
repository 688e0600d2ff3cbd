-- For people: degrees, times and names instead of radians, nanoseconds and numbers.

CREATE VIEW vedette.track_history AS
SELECT node, track_id, number, valid, to_timestamp(known_ns / 1e9) AS known, revision,
       (ARRAY['tentative', 'confirmed', 'coasting', 'deleted'])[status + 1] AS status,
       (ARRAY['detected', 'missed', 'coasted', 'confirmed', 'lost', 'corrected',
              'retracted'])[reason + 1] AS reason,
       (ARRAY['unknown', 'own', 'friend', 'neutral', 'suspect'])[affiliation + 1] AS affiliation,
       degrees(lat_rad) AS lat_deg, degrees(lon_rad) AS lon_deg, alt_m,
       east_mps, north_mps, up_mps, existence, sensors,
       encode(identity, 'escape') AS identity, known_offset, n
FROM vedette.tracks;

CREATE VIEW vedette.track_picture AS
SELECT node, track_id, number, valid, to_timestamp(stale_ns / 1e9) AS stale, revision,
       (ARRAY['tentative', 'confirmed', 'coasting', 'deleted'])[status + 1] AS status,
       (ARRAY['unknown', 'own', 'friend', 'neutral', 'suspect'])[affiliation + 1] AS affiliation,
       degrees(lat_rad) AS lat_deg, degrees(lon_rad) AS lon_deg, alt_m,
       east_mps, north_mps, up_mps, existence, sensors,
       encode(identity, 'escape') AS identity
FROM vedette.track_current
WHERE status <> 3;

CREATE VIEW vedette.detection_history AS
SELECT node, sensor, time,
       (ARRAY['position', 'polar', 'bearing', 'zone', 'line'])[kind + 1] AS kind,
       degrees(lat_rad) AS lat_deg, degrees(lon_rad) AS lon_deg, alt_m,
       range_m, degrees(azimuth_rad) AS azimuth_deg, degrees(elevation_rad) AS elevation_deg,
       range_rate_mps, radius_m, snr_db, encode(identity, 'escape') AS identity,
       known_offset, report, item
FROM vedette.detections;
