"""The program: command line, supervision, and the wiring of a node's processes.

===================  ==============================================================
`vedette.cli`        the command `vedette`, its subcommands in `vedette.commands`
`vedette.engine`     journal records in, output batches out: the pure heart of a node
`vedette.local`      a broker and a PostgreSQL of our own, for the demo and the tests
`vedette.kit`        the one import for those who write adapters
===================  ==============================================================
"""
