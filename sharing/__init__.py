"""Sharing tracks with partner nodes. Nothing is built here yet, and so nothing is shared.

What will live here: agreements, releasability, the ledger, one publisher process per partner, the
receiver, and other formats (CoT). Until then a node gives nothing to anybody.
"""
