"""Faults on purpose: a node is killed and frozen in every part while an outside oracle keeps books.

::

    plan ─▶ round ─▶ stage: broker, PostgreSQL, `vedette run`, sources, a partner that takes
     │        │        ▲ kills, freezes, restarts
     │        ╰────────╯
     │        sources ─▶ books (sensor, boot, seq, SHA-256; synced before anything is published)
     ╰─▶ oracle: books = journal = database; outputs = those of an undisturbed engine; ledger = rows
                  ╰─▶ evidence, report.html

`python -m benchmarks.chaos --help`; docs/chaos.md.
"""
