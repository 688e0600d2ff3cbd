"""A broker and a PostgreSQL of our own, started as child processes, for the demo and the tests.

Nothing here is used by a node that is given a broker and a database.

===============================  =============================================================
`vedette.local.process`          `Child`: a child process that never outlives its parent
`vedette.local.shim`             what stands between us and a foreign program's start
`vedette.local.places`           whom servers run as, folders they can enter, free ports
`vedette.local.postgres`         `EmbeddedPostgres`: PostgreSQL 18 from a wheel
`vedette.local.broker`           `LocalBroker`: Mosquitto, or amqtt where there is none
`vedette.local.broker_files`     Mosquitto's configuration, password and ACL files
`vedette.local.amqtt_main`       the program that runs amqtt
`vedette.local.amqtt_access`     users and grants for amqtt, from the same files
`vedette.local.installation`     checks that nobody else owns one of our import names
===============================  =============================================================
"""
