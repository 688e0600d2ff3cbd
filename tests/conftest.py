"""Fixtures that every room may use; they live in `tests.fixtures`."""

import os

from hypothesis import HealthCheck, settings

# A busy machine is slow, not wrong: no test is judged by the clock.
settings.register_profile("vedette", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Where a landing hangs on it, the examples are the same each time; elsewhere they are new ones.
settings.register_profile("ci", settings.get_profile("vedette"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "vedette")

pytest_plugins = [
    "tests.fixtures.environment",
    "tests.fixtures.postgres",
    "tests.fixtures.broker",
]
