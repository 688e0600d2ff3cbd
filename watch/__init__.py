"""Rules over tracks: alerts and incidents. Nothing is built here yet, and so nothing is alerted.

What will live here: rules (pure, over track updates and ticks), and the life of an alert: latched,
acknowledged, shelved. Alerts advise people and never act.
"""
