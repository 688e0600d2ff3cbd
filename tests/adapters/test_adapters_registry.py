"""The registry: entry points, clear mistakes."""

from importlib.metadata import EntryPoint

import pytest

from adapters import registry
from model.errors import ConfigError


def test_own_adapters_are_found():
    assert {"report", "ais", "mavlink"} <= set(registry.names())
    loaded = registry.load_all()
    versions = registry.versions(loaded.values())
    assert all(versions[name] for name in ("report", "ais", "mavlink"))


def test_unknown_name_lists_the_known():
    with pytest.raises(ConfigError, match=r"'asterix'.*known are.*ais.*mavlink.*report"):
        registry.load("asterix")


def test_load_all_names_every_mistake():
    with pytest.raises(ConfigError) as caught:
        registry.load_all(["nope", "neither"])
    assert len(caught.value.problems) == 2


def test_report_always_comes_along():
    assert set(registry.load_all(["ais"])) == {"ais", "report"}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("no.such.module:ADAPTER", "cannot load no.such.module:ADAPTER"),
        ("adapters.ais:AisAdapter.__doc__", "decode cannot be called"),
        ("adapters.ais:ADAPTER", "calls itself 'ais'"),
    ],
)
def test_foreign_mistakes_name_the_culprit(monkeypatch, value, says):
    point = EntryPoint("acme", value, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda **_: [point])
    with pytest.raises(ConfigError, match=says):
        registry.load("acme")
