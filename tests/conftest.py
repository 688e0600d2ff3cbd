"""Fixtures that every room may use; they live in `tests.fixtures`."""

from hypothesis import HealthCheck, settings

# A busy machine is slow, not wrong: no test is judged by the clock.
settings.register_profile("vedette", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vedette")

pytest_plugins = [
    "tests.fixtures.environment",
    "tests.fixtures.postgres",
    "tests.fixtures.broker",
]
