"""Position sentences for simulators and tests."""

from pyais.encode import encode_dict

from adapters.ais.position import KNOT_MPS


def position_report(
    mmsi: int,
    latitude_deg: float,
    longitude_deg: float,
    *,
    sog_mps: float | None = None,
    cog_deg: float | None = None,
    high_accuracy: bool = False,
    second: int = 60,
    class_b: bool = False,
    channel: str = "A",
) -> bytes:
    """One sentence of a class A (message 1) or class B (message 18) position report.

    Parameters
    ----------
    mmsi
        Number of the station.
    latitude_deg, longitude_deg
        Degrees; 91 and 181 say *not available*.
    sog_mps, cog_deg
        Speed and course over ground; None: not available.
    high_accuracy
        The position accuracy flag.
    second
        UTC second; 60: not available.
    class_b
        Message 18 instead of 1.
    channel
        ``A`` or ``B``.

    Returns
    -------
    bytes
        The sentence without a line end.
    """
    fields: dict[str, str | int | float | bytes | bool] = {
        "type": 18 if class_b else 1,
        "mmsi": mmsi,
        "lat": latitude_deg,
        "lon": longitude_deg,
        "speed": 102.3 if sog_mps is None else min(sog_mps / KNOT_MPS, 102.2),
        "course": 360.0 if cog_deg is None else cog_deg % 360.0,
        "heading": 511,
        "accuracy": high_accuracy,
        "second": second,
    }
    if not class_b:
        fields["status"] = 15
        fields["turn"] = -128
    sentence: str = encode_dict(fields, talker_id="AI", sentence_type="VDM", radio_channel=channel)[
        0
    ]
    return sentence.encode()
