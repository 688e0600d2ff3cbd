"""AIS (ITU-R M.1371-5) as NMEA 0183 sentences.

======================  =======================================================
`adapters.ais.decoder`  the adapter: lines, parts of messages, `Detections`
`adapters.ais.sentence` one line: fields and checksum
`adapters.ais.position` which messages hold a position, and their sentinels
`adapters.ais.encode`   sentences for simulators and tests
======================  =======================================================
"""

from adapters.ais.decoder import AisAdapter

ADAPTER = AisAdapter()

__all__ = ["ADAPTER", "AisAdapter"]
