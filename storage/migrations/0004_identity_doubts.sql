-- Names for the reasons 8 and 9: an identity is doubted, and is so no longer.

CREATE OR REPLACE FUNCTION vedette.reason_name(smallint) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (ARRAY['detected', 'missed', 'coasted', 'confirmed', 'lost', 'corrected', 'retracted',
                  'withdrawn', 'doubted', 'cleared'])[$1 + 1];
