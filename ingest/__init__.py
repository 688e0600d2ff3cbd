"""From journaled bytes to gated detections.

Everything here is a function of the records and of what earlier records left behind: rates are
measured on journaled times, and a decision that depends on how fast this machine is (a decoder
that ran out of time) is told outside, so that it can be journaled too.

==================  ==================================================================
`ingest.pipeline`   `Ingest`: records in, detections and quarantine out; the snapshot
`ingest.counts`     what comes out of it
`ingest.routes`     topics to sensors and adapters; frames of gateways
`ingest.guard`      decoding so that only the culprit of a failing batch is refused
`ingest.watchdog`   the time limit of a decoder
`ingest.gate`       what a detection must fulfil to go on
`ingest.checks`     the checks of single values, and their bounds
`ingest.dedup`      (sensor, boot, seq) seen once
`ingest.rate`       the rate limit of a sensor
`ingest.limits`     the numbers of all of them
`ingest.identities` boot and seq of frames and reports, without an adapter
`ingest.receipts`   what is stored of whom, and the receipt that says so
`ingest.outbox`     what a gateway keeps until a receipt names it
`ingest.gateway`    what a gateway sends when
`ingest.splitting`  from a stream to what a gateway sends
==================  ==================================================================
"""
