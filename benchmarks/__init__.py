"""Benchmarks: each prints its figures for people, and with ``--json`` one JSON object at the end.

Times are CPU or wall milliseconds of this machine; quote the ratios, they travel.
"""
