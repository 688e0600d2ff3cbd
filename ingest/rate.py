"""The rate limit of a sensor: a token bucket on journaled times, so a replay decides the same."""

from typing import Any

from model.time import NS_PER_S

BURST_S = 2.0
"""Seconds' worth of messages that may come at once: networks and brokers bunch them."""

LEAST_BURST = 2.0
"""Messages that may always come at once."""


class RateLimit:
    """One bucket for each sensor; a full one at first."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, int]] = {}

    def allows(self, sensor: str, rate_hz: float, now_ns: int) -> bool:
        """Whether a message at `now_ns` keeps to the rate; 0: no limit. Time never runs back."""
        if rate_hz <= 0.0:
            return True
        full = max(LEAST_BURST, rate_hz * BURST_S)
        tokens, last = self._buckets.get(sensor, (full, now_ns))
        if now_ns > last:
            tokens = min(full, tokens + (now_ns - last) / NS_PER_S * rate_hz)
            last = now_ns
        allowed = tokens >= 1.0
        self._buckets[sensor] = (tokens - 1.0 if allowed else tokens, last)
        return allowed

    def export(self) -> dict[str, Any]:
        """Plain data from which `restore` makes equal buckets."""
        return {sensor: [tokens, last] for sensor, (tokens, last) in self._buckets.items()}

    def restore(self, data: dict[str, Any]) -> None:
        """Take over what `export` gave."""
        self._buckets = {sensor: (float(row[0]), int(row[1])) for sensor, row in data.items()}
