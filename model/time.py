"""Time is int64 UTC nanoseconds since 1970-01-01T00:00:00Z, everywhere.

Floats of seconds (1.7e9 s has a spacing of 0.24 µs) are rounded to the nearest microsecond, so
that a time written by one program and read by another is the same number.
"""

import math
from datetime import UTC, datetime

NS_PER_S = 1_000_000_000
"""Nanoseconds per second."""

NS_PER_US = 1_000
"""Nanoseconds per microsecond."""

MAX_TIME_NS = 4_102_444_800 * NS_PER_S
"""2100-01-01T00:00:00Z: no time that a sensor reports is later."""


def ns_from_seconds(seconds: float) -> int:
    """Seconds since 1970 as nanoseconds, rounded to the nearest microsecond.

    Parameters
    ----------
    seconds
        Seconds since 1970 UTC.

    Returns
    -------
    int
        Nanoseconds since 1970 UTC.

    Raises
    ------
    ValueError
        If `seconds` is not finite or does not lie in 1970-2100.
    """
    if not math.isfinite(seconds) or not 0.0 <= seconds * NS_PER_S <= MAX_TIME_NS:
        raise ValueError(f"time {seconds!r} is not a time between 1970 and 2100")
    whole = math.floor(seconds)
    return whole * NS_PER_S + round((seconds - whole) * 1e6) * NS_PER_US


def ns_from_iso(text: str) -> int:
    """ISO 8601 text with an offset from UTC as nanoseconds.

    Parameters
    ----------
    text
        For example ``2026-03-01T12:00:00.250Z``; a time without an offset is refused, because
        nobody can know which it is. Digits after the microsecond are cut.

    Returns
    -------
    int
        Nanoseconds since 1970 UTC.

    Raises
    ------
    ValueError
        If the text is no ISO 8601 time, has no offset, or lies outside 1970-2100.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time {text!r} has no offset from UTC (write a Z behind it)")
    since = moment.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    nanoseconds = (since.days * 86_400 + since.seconds) * NS_PER_S + since.microseconds * NS_PER_US
    if not 0 <= nanoseconds <= MAX_TIME_NS:
        raise ValueError(f"time {text!r} is not a time between 1970 and 2100")
    return nanoseconds


def iso_from_ns(time_ns: int) -> str:
    """Nanoseconds as ISO 8601 with microseconds and a ``Z``."""
    moment = datetime.fromtimestamp(time_ns // NS_PER_S, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ns % NS_PER_S // NS_PER_US:06d}Z"
