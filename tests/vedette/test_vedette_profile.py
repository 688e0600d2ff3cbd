"""``vedette track --profile`` says where time goes, and changes nothing."""

import json
from pathlib import Path

import pytest

from vedette.cli import main

SENSORS = """
[[sensor]]
id = "radar"
adapter = "report"
position = { lat = 59.4, lon = 24.0, alt_m = 10.0 }
"""


def reports(path: Path, count: int) -> None:
    lines = [
        json.dumps(
            {
                "sensor": "radar",
                "time": 1772366400 + second,
                "detections": [
                    {"kind": "position", "lat": 59.4 + 1e-4 * second, "lon": 24.01, "sigma_m": 5.0}
                ],
            }
        )
        for second in range(count)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.timeout(600)  # nobody has compiled the steps by themselves before
def test_a_profile_names_the_steps_and_leaves_the_pictures(tmp_path, capsys):
    (tmp_path / "s.toml").write_text(SENSORS, encoding="utf-8")
    reports(tmp_path / "r.jsonl", 12)
    out = {}
    for name, more in (("plain", []), ("profiled", ["--profile"])):
        out[name] = tmp_path / f"{name}.jsonl"
        asked = ["track", "--sensors", str(tmp_path / "s.toml"), str(tmp_path / "r.jsonl")]
        assert main([*asked, "--out", str(out[name]), *more]) == 0
    assert out["plain"].read_bytes() == out["profiled"].read_bytes()
    said = capsys.readouterr().err
    for step in ("decode and gate", "predict", "associate", "publish", "pictures and updates"):
        assert step in said
    assert "12 reports" in said
