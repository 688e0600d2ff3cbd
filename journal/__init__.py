"""The truth of a node: an append-only log of every input, and what is read from it.

====================  ==============================================================
`journal.log`         `SegmentedLog`, the one writer: append, sync, release
`journal.reader`      `LogReader`: reads by offset, from any process, while it grows
`journal.segment`     the format of a segment file
`journal.recovery`    mending a segment's end after a crash, and telling that from damage
`journal.commit`      `GroupCommitter`: the thread that journals, many messages a sync
`journal.cursor`      `Cursor`: how far a reader has come
`journal.snapshot`    `SnapshotStore`: states to start a replay from
`journal.codec`       plain data, arrays and `OutputBatch` as bytes, without pickle
`journal.disk`        durable writes, and the lock that keeps a second writer out
====================  ==============================================================

The format on disk is drawn in `journal.segment`; ``docs/journal.md`` tells the whole story.
"""
