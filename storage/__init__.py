"""PostgreSQL, with TimescaleDB where it is there: what was received, and every track update.

A reader of the output log: `Writer` stores its batches and its own cursor in one transaction, so
a kill at any instant neither loses nor doubles. The database is a function of the journal.

========================  ======================================================================
`storage.connection`      connections; the one place where the driver's errors become ours
`storage.migrations`      numbered SQL files: the tables
`storage.migrate`         applies them, once each, under a lock, and notices altered ones
`storage.timescale`       what the server can do beyond plain tables: hypertables, columnstore
`storage.retention`       how long things are kept, and deleting where the server does not
`storage.copy`            NumPy columns to binary COPY blocks
`storage.tables`          the columns of each table, written and read by the same list
`storage.foreign_tables`  the same for what partners gave
`storage.rows`            output batches as encoded rows, before a transaction begins
`storage.writer`          `Writer`: output batches in, rows and cursor out
`storage.history`         questions: tracks now, a track's past, everything back bit by bit
========================  ======================================================================
"""
