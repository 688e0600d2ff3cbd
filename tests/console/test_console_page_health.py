"""Health of sensors on the page: what is said of each, and where somebody should look."""

import json
from typing import Any

from tests.console.pages import evaluate, opened, text


def test_sensors_and_partners_that_need_a_look_are_marked(browser, server):
    page = opened(browser, server)
    page.wait("document.querySelector('#tab-sensors').textContent === 'Sensors 4/5'")
    assert text(page, "#tab-partners") == "Partners 1/2"
    marks = "[...document.querySelectorAll('#tabs button')].map((b) => b.dataset.trouble ?? '')"
    assert page.run(marks) == ["", "true", "true", "false"]
    page.press("2")
    rows = "[...document.querySelectorAll('#sensor-rows tr')].map((r) => r.innerText.split('\\t'))"
    page.wait(f"{rows}.find((r) => r[0] === 'ais')[2] === '3.0'")  # two samples make a rate
    found = {row[0]: row[1:] for row in page.run(rows)}
    assert next(iter(found)) == "uav-2"  # trouble first
    assert found["uav-2"][0] == "silent 47 s"
    assert found["fence-14"][0] == "event"  # silence of an event sensor says nothing
    assert found["ais"][4] == "bad checksum 12, time past 3"
    assert found["radar-coast"][4] == "none"
    page.press("3")
    partners = page.run("document.querySelector('#partners').innerText")
    for said in (
        "not connected: certificate expired",
        "120 / 97",
        "8 min ago",
        "suspended by duty officer",
        "bad signature 2",
        "48 211 / 48 209",
    ):
        assert said in partners, said
    assert page.problems() == []


def test_what_is_said_of_a_sensor(browser, server):
    page = browser.open(f"{server.url}/healthz")  # any page of this host can import

    def health(sensor: dict[str, Any], counts: list[dict[str, Any]]) -> list[Any]:
        statuses = [
            {
                "sensors": [{"id": "s"} | sensor],
                "core": {"time_ns": 1e9 * (100 + 10 * i), "counters": {"ingest": {"s": one}}},
            }
            for i, one in enumerate(counts)
        ]
        body = f"""const h = new m.SensorHealth();
            for (const one of {json.dumps(statuses)}) h.take(one);
            const r = h.rows[0]; return [r.state, r.trouble, isNaN(r.rate) ? null : r.rate];"""
        return list(evaluate(page, "sensors.js", body))

    calm = {"last_report_s": 0.5, "period_s": 1.0}
    ten = {"messages": 10, "reports": 10, "refused": {}}
    more = {"messages": 60, "reports": 60, "refused": {}}
    bad = {"messages": 60, "reports": 20, "refused": {"time_past": 40}}
    assert health(calm, [ten, more]) == ["ok", False, 5.0]
    assert health(calm, [ten]) == ["ok", False, None]
    assert health(calm, [ten, bad]) == ["refused", True, 1.0]
    assert health(calm | {"last_report_s": 3.5}, [ten]) == ["silent 3 s", True, None]
    assert health(calm | {"last_report_s": 3.5, "period_s": 2.5}, [ten])[1] is False
    assert health(calm | {"last_report_s": 99.0, "sensing": "event"}, [ten])[:2] == ["event", False]
    assert health({"last_report_s": 99.0}, [ten])[1] is False  # no period: nobody can tell
    assert health(calm | {"last_report_s": None}, [ten])[:2] == ["never heard", True]
    assert health({}, [ten])[:2] == ["–", False]
    bias = {"range_m": 50.4, "azimuth_rad": 0.0175, "time_s": 0.3, "east_m": 0.0, "north_m": 0.0}
    wrong = calm | {"registration": bias | {"applied": True}}
    assert health(wrong, [ten])[:2] == ["ok, corrected", False]
    assert health(calm | {"registration": bias | {"applied": False}}, [ten])[0] == "ok"
    status = json.dumps({"sensors": [{"id": "s"} | wrong]})
    body = f"const h = new m.SensorHealth(); h.take({status}); return h.rows[0].corrected;"
    said = "taken off: range 50 m, azimuth 1.00°, time 0.30 s, place 0 m"
    assert evaluate(page, "sensors.js", body) == said
