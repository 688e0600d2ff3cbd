"""Tracks for partner nodes: what an agreement allows, and proof of what was given.

==========================  ==========================================================
what may be given
`sharing.agreement`         `Agreement`, and its file (TOML)
`sharing.agreement_file`    the same, followed while the file changes
`sharing.area`              polygons: what is wrong with one, what lies inside
`sharing.release`           which updates may go, why not, in what form
`sharing.closing`           the last word on tracks that may not be followed any further
what is written and sent
`sharing.rows`              bytes, digests and chain of rows, the same on both sides
`sharing.wire`              topics and batches
`sharing.answers`           acks and requests
`sharing.entry`             rows as they lie in a ledger
`sharing.ledger`            `Ledger`: written and synced before anything is sent; `verify`
`sharing.lane`              `Lane`: one agreement's way out
`sharing.line`              `Line`: one connection, which never repeats what is stale
`sharing.post`              `Post`: sends batches, collects answers
what comes in
`sharing.sequence`          which rows have arrived, and whether their chain holds
`sharing.checks`            what may never stand in a partner's row
`sharing.foreign_heads`     the newest row of every foreign track
`sharing.receive`           `Receiver`: a pure state machine for the engine
==========================  ==========================================================

The process around the giving side is `vedette.publishing`; ``docs/sharing.md`` tells the story.
"""
