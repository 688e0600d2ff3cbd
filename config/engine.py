"""The part of a site that decides outputs, as bytes that the journal keeps.

A node writes it into the journal before the first input that it applies to. So a journal explains
itself: anyone who holds it can compute the tracks again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from config.schema import CoverageTable, LimitsTable, RegionTable, SensorTable, SourceTable
from model.detections import Mode
from model.frames import Region
from model.sensors import Coverage, DetectionProbability, Sensor, Sensors, Sigmas, Source
from model.taxonomy import N_CLASSES, class_index
from sharing.agreement import Agreement, parse_agreement


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """What an engine needs to know.

    Parameters
    ----------
    node
        Name of the node.
    mode
        Live or exercise.
    region
        Where it fuses; None: about the first place that a report names.
    sensors
        In the order of their indices.
    max_age_s, max_future_s
        How far a report's time may lie before and behind its arrival.
    decode_timeout_s
        Longest time that a decoder may take over one input.
    late_window_s
        How far behind the newest report a late one is still fused.
    agreements
        What partners give us, by the partner's name.
    sources
        Who speaks for sensors, and how many messages a second that may be.
    """

    node: str
    mode: Mode
    region: Region | None
    sensors: Sensors
    max_age_s: float
    max_future_s: float
    decode_timeout_s: float
    late_window_s: float
    agreements: Mapping[str, Agreement] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()


def engine_payload(
    node: str,
    mode: str,
    region: RegionTable | None,
    sensors: list[SensorTable],
    limits: LimitsTable,
    adapters: dict[str, str],
    agreements: Mapping[str, str] | None = None,
    sources: Sequence[SourceTable] = (),
) -> bytes:
    """JSON of everything that decides outputs: the payload of a CONFIG record.

    Parameters
    ----------
    node, mode
        As in the site file.
    region, sensors, limits
        Tables as read, in the units of people: so the bytes explain themselves.
    adapters
        Name and version of each adapter in use.
    agreements
        Texts of the agreements under which partners give to us, by the partner's name.
    sources
        Who speaks for which sensors.
    """
    return msgspec.json.encode(
        {
            "format": 1,
            "node": node,
            "mode": mode,
            "region": region.model_dump(mode="json") if region else None,
            "limits": limits.model_dump(
                mode="json",
                include={"max_age_s", "max_future_s", "decode_timeout_s", "late_window_s"},
            ),
            "adapters": adapters,
            "sensor": [
                sensor.model_dump(mode="json", by_alias=True, exclude_unset=True)
                for sensor in sensors
            ],
            **_partners(agreements or {}),
            **_sources(sources),
        }
    )


def with_agreements(payload: bytes, agreements: Mapping[str, str]) -> bytes:
    """The payload of a CONFIG record with other agreements in it, all else as it was."""
    document: dict[str, Any] = msgspec.json.decode(payload)
    document.pop("partner", None)
    return msgspec.json.encode(document | _partners(agreements))


def _partners(agreements: Mapping[str, str]) -> dict[str, Any]:
    """Nothing where there are none, so that the payload of a node alone stays what it was."""
    if not agreements:
        return {}
    rows = [{"id": name, "receive_agreement": text} for name, text in agreements.items()]
    return {"partner": rows}


def _sources(sources: Sequence[SourceTable]) -> dict[str, Any]:
    """Nothing where there are none; nothing of certificates, which decide no output."""
    if not sources:
        return {}
    include = {"id", "sensors", "max_rate_hz"}
    return {"source": [source.model_dump(mode="json", include=include) for source in sources]}


def engine_config(payload: bytes) -> EngineConfig:
    """Read what `engine_payload` wrote.

    Parameters
    ----------
    payload
        Payload of a CONFIG record.
    """
    document: dict[str, Any] = msgspec.json.decode(payload)
    limits = LimitsTable(**document["limits"])
    region = document["region"]
    return EngineConfig(
        node=document["node"],
        mode=Mode[document["mode"].upper()],
        region=region_of(RegionTable(**region)) if region else None,
        sensors=Sensors(sensor_of(SensorTable(**table)) for table in document["sensor"]),
        max_age_s=limits.max_age_s,
        max_future_s=limits.max_future_s,
        decode_timeout_s=limits.decode_timeout_s,
        late_window_s=limits.late_window_s,
        agreements={
            table["id"]: parse_agreement(table["receive_agreement"], f"partner {table['id']}")
            for table in document.get("partner", ())
        },
        sources=tuple(
            Source(table["id"], tuple(table["sensors"]), table["max_rate_hz"])
            for table in document.get("source", ())
        ),
    )


def region_of(table: RegionTable) -> Region:
    """The tangent plane of a ``[region]`` table."""
    return Region(math.radians(table.lat), math.radians(table.lon), table.radius_km * 1000.0)


def sensor_of(table: SensorTable) -> Sensor:
    """A sensor in SI and radians of a ``[[sensor]]`` table."""
    probability = table.detection_probability
    position = table.position
    classes: tuple[float, ...] | None = None
    if table.class_:
        row = np.zeros(N_CLASSES)
        for label, value in table.class_.items():
            row[class_index(label)] += value
        classes = tuple(float(value) for value in row)
    clutter = 0.0 if table.cooperative else 1.0
    return Sensor(
        id=table.id,
        adapter=table.adapter,
        position=None
        if position is None
        else (math.radians(position.lat), math.radians(position.lon), position.alt_m),
        heading_rad=math.radians(table.heading_deg),
        sensing=table.sensing,
        cooperative=table.cooperative,
        tracks=table.tracks,
        detection_probability=DetectionProbability(value=(probability,))
        if isinstance(probability, float | int)
        else DetectionProbability(tuple(probability.range_m), tuple(probability.value)),
        clutter_per_scan=clutter if table.clutter_per_scan is None else table.clutter_per_scan,
        clutter_density_m2=table.clutter_density_m2,
        coverage=_coverage_of(table.coverage),
        period_s=table.period_s,
        latency_s=table.latency_s,
        extent_m=table.extent_m,
        assumed_height_m=table.assumed_height_m,
        sigmas=Sigmas(
            horizontal_m=table.sigma_m,
            vertical_m=table.sigma_alt_m,
            range_m=table.sigma_range_m,
            azimuth_rad=math.radians(table.sigma_azimuth_deg),
            elevation_rad=math.radians(table.sigma_elevation_deg),
            range_rate_mps=table.sigma_range_rate_mps,
            velocity_mps=table.sigma_velocity_mps,
        ),
        max_rate_hz=table.max_rate_hz,
        priority=table.priority,
        classes=classes,
        options=table.options,
        topics=tuple(table.topics),
    )


def _coverage_of(table: CoverageTable) -> Coverage:
    azimuth = table.azimuth_deg
    return Coverage(
        range_m=table.range_m or (0.0, math.inf),
        azimuth_rad=None
        if azimuth is None
        else (math.radians(azimuth[0]), math.radians(azimuth[1])),
        polygon=None if table.polygon is None else np.radians(np.array(table.polygon)),
    )
