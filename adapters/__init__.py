"""From a device's bytes to `Detections`: one folder per device family, all of them pure.

A decoder is a function of a batch of messages, the sensors table and a small keyed state. It does
no I/O, reads no clock and never raises on bytes; what it cannot read it refuses, item by item,
with a reason. How messages are cut into batches never changes what comes out.

======================  ==============================================================
`adapters.registry`     finds adapters by name through the entry points of `vedette.adapters`
`adapters.state`        `BoundedState`: what a decoder remembers, with commit and rollback
`adapters.contract`     what every outcome of a decoder must fulfil
`adapters.conformance`  proof by samples that an adapter keeps the contract
`adapters.common`       the few things that all decoders need
`adapters.report`       the product's own report: JSON, JSON Lines, MessagePack, arrays
`adapters.ais`          AIS: NMEA 0183 VDM and VDO sentences
`adapters.mavlink`      MAVLink 1 and 2 frames and telemetry logs
======================  ==============================================================

Each family has its `ADAPTER`, its decoder, an encoder for simulators and tests, and a README with
lines for a site file. `vedette.kit` is the door for adapters written elsewhere.
"""
