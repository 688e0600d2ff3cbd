"""Fixtures that every room may use; they live in `tests.fixtures`."""

pytest_plugins = [
    "tests.fixtures.environment",
    "tests.fixtures.postgres",
    "tests.fixtures.broker",
]
