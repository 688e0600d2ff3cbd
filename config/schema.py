"""What may stand in a site file or a sensors file, in the units that people write.

Degrees, metres, seconds, hertz. Every table refuses unknown keys, so a misspelt one is found.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
"""A node's or sensor's name: it stands in topics and in file names."""

INLINE_PASSWORD = re.compile(r"""
    (?:^|[\s?&])(?:password|sslpassword)\s*=    # key of a connection string, parameter of a URI
    | ^[a-z]+://[^/?\#]*:[^/?\#]*@             # user:password@ of a URI
    """, re.IGNORECASE | re.VERBOSE)  # fmt: skip
"""A password in a connection string; libpq, section 'Connection Strings'."""

Latitude = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-360, le=360, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Table(BaseModel):
    """A table that refuses keys it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PositionTable(Table):
    """Where a sensor stands."""

    lat: Latitude
    lon: Longitude
    alt_m: Annotated[float, Field(ge=-500, le=100_000, allow_inf_nan=False)] = 0.0


class DetectionProbabilityTable(Table):
    """Probability of detection over slant range."""

    range_m: list[NotNegative]
    value: list[Probability]

    @model_validator(mode="after")
    def _same_length(self) -> Self:
        if len(self.range_m) != len(self.value) or not self.range_m:
            raise ValueError("range_m and value must have the same length, at least 1")
        if any(b <= a for a, b in zip(self.range_m, self.range_m[1:], strict=False)):
            raise ValueError("range_m must rise")
        return self


class CoverageTable(Table):
    """Where a sensor looks."""

    range_m: tuple[NotNegative, Positive] | None = None
    azimuth_deg: tuple[Degrees, Degrees] | None = None
    polygon: Annotated[list[tuple[Latitude, Longitude]], Field(min_length=3)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.range_m is not None and self.range_m[1] <= self.range_m[0]:
            raise ValueError("range_m must be [least, greatest]")
        return self


class SensorTable(Table):
    """One ``[[sensor]]``."""

    id: Name
    adapter: str = "report"
    position: PositionTable | None = None
    heading_deg: Degrees = 0.0
    sensing: Literal["scan", "event"] = "scan"
    cooperative: bool = False
    tracks: bool = False
    detection_probability: Probability | DetectionProbabilityTable = 0.9
    clutter_per_scan: NotNegative | None = None
    clutter_density_m2: Positive | None = None
    coverage: CoverageTable = CoverageTable()
    period_s: Positive = 1.0
    latency_s: Annotated[float, Field(ge=-60, le=60, allow_inf_nan=False)] = 0.0
    extent_m: NotNegative = 0.0
    assumed_height_m: float | None = None
    sigma_m: Positive = 10.0
    sigma_alt_m: Positive = 20.0
    sigma_range_m: Positive = 10.0
    sigma_azimuth_deg: Positive = 0.2
    sigma_elevation_deg: Positive = 0.5
    sigma_range_rate_mps: Positive = 1.0
    sigma_velocity_mps: Positive = 1.0
    max_rate_hz: NotNegative = 0.0
    priority: Annotated[int, Field(ge=0, le=9)] = 5
    class_: dict[str, Probability] | None = Field(default=None, alias="class")
    options: dict[str, Any] = {}
    topics: list[str] = []

    @model_validator(mode="after")
    def _one_clutter(self) -> Self:
        if self.clutter_per_scan is not None and self.clutter_density_m2 is not None:
            raise ValueError("give clutter_per_scan or clutter_density_m2, not both")
        return self


class SourceTable(Table):
    """One ``[[source]]``: who may speak for which sensors.

    ``certificate`` is the name in its certificate (``source:<name>``), where that is not its id.
    """

    id: Name
    sensors: Annotated[list[Name], Field(min_length=1)]
    max_rate_hz: NotNegative = 0.0
    certificate: Name | None = None


class NodeTable(Table):
    """``[node]``."""

    name: Name
    mode: Literal["live", "exercise"] = "live"
    data_dir: Path


class RegionTable(Table):
    """``[region]``: where this node fuses."""

    lat: Latitude
    lon: Longitude
    radius_km: Annotated[float, Field(gt=0, le=500)] = 200.0


class TlsTable(Table):
    """``tls`` of a broker or partner; paths count from the site file.

    ``ca`` holds the authorities that are believed. ``certificate`` and ``key`` say who we are:
    the broker takes the user name from the certificate, so there is no password. ``crl`` holds
    revocation lists: then a broker whose certificate is revoked is not spoken to.
    """

    ca: Path
    crl: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _pair(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together")
        return self


class CredentialsTable(Table):
    """As whom we go to a broker: by name and password, or by certificate."""

    username: str | None = None
    password_file: Path | None = None
    tls: TlsTable | None = None

    @model_validator(mode="after")
    def _one_identity(self) -> Self:
        certified = self.tls is not None and self.tls.certificate is not None
        if certified and (self.username is not None or self.password_file is not None):
            raise ValueError("tls.certificate says who we are: username and password_file must go")
        return self


class BrokerTable(CredentialsTable):
    """``[broker]``."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    protocol: Literal["5", "3.1.1", "auto"] = "auto"
    log_file: Path | None = None


class LineTable(Table):
    """One ``[[line]]``: drawn on the map, a frontier for example."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    points: Annotated[list[tuple[Latitude, Longitude]], Field(min_length=2, max_length=2000)]


class PartnerBrokerTable(CredentialsTable):
    """``broker`` of a ``[[partner]]``: where that node gives, and as whom we go there."""

    host: str
    port: Annotated[int, Field(ge=1, le=65_535)] = 1883
    protocol: Literal["5", "3.1.1", "auto"] = "auto"


class PartnerTable(CredentialsTable):
    """One ``[[partner]]``: a node that we give to, take from, or both.

    Paths count from the site file. ``agreement`` says what we give; without it nothing is given,
    and no publisher runs. ``username`` and ``password_file``, or ``tls``, are the publisher's own
    at our broker. ``receive_agreement`` is our copy of what the partner gives; ``broker`` is the
    partner's, where we take it.
    """

    id: Name
    agreement: Path | None = None
    receive_agreement: Path | None = None
    broker: PartnerBrokerTable | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.agreement is None and self.receive_agreement is None:
            raise ValueError("agreement or receive_agreement must be given")
        if (self.receive_agreement is None) != (self.broker is None):
            raise ValueError("receive_agreement and broker belong together")
        if self.username is None and self.password_file is not None:
            raise ValueError("password_file stands without username")
        return self


class DatabaseTable(Table):
    """``[database]``: how libpq connects; its password stands in a file of its own."""

    dsn: str

    @field_validator("dsn")
    @classmethod
    def _no_secret(cls, dsn: str) -> str:
        if INLINE_PASSWORD.search(dsn):
            raise PydanticCustomError(  # without what stood there
                "inline_secret",
                "a password stands in it; write it to a file of mode 0600 and name that: "
                "passfile=FILE (libpq, section 'The Password File')",
            )
        return dsn


class LimitsTable(Table):
    """``[limits]``."""

    max_payload_bytes: Annotated[int, Field(ge=1024, le=64 << 20)] = 1 << 20
    max_age_s: Positive = 60.0
    max_future_s: NotNegative = 2.0
    linger_ms: Annotated[float, Field(ge=0, le=1000)] = 10.0
    journal_budget_mb: Annotated[int, Field(ge=64)] = 8192
    decode_timeout_s: Annotated[float, Field(gt=0, le=30)] = 1.0
    late_window_s: Annotated[float, Field(ge=0, le=120)] = 10.0
    snapshot_every_s: Positive = 5.0
    shed_after_s: Annotated[float, Field(ge=0, le=60)] = 1.0


class ServeTable(Table):
    """``[serve]``."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080
    hosts: list[str] = []
    tls: TlsTable | None = None

    @model_validator(mode="after")
    def _own_certificate(self) -> Self:
        if self.tls is not None and self.tls.certificate is None:
            raise ValueError("tls: certificate and key of the page must be given")
        return self


def _unique_ids(sensors: list[SensorTable]) -> None:
    seen: set[str] = set()
    for sensor in sensors:
        if sensor.id in seen:
            raise ValueError(f"sensor: the id {sensor.id!r} is given twice")
        seen.add(sensor.id)


class SensorsFile(Table):
    """A file of sensors alone, for ``vedette track``."""

    region: RegionTable | None = None
    sensor: Annotated[list[SensorTable], Field(min_length=1)]
    source: list[SourceTable] = []
    limits: LimitsTable = LimitsTable()

    @model_validator(mode="after")
    def _check(self) -> Self:
        _unique_ids(self.sensor)
        return self


class SiteFile(Table):
    """A whole site."""

    node: NodeTable
    region: RegionTable | None = None
    broker: BrokerTable = BrokerTable()
    database: DatabaseTable
    limits: LimitsTable = LimitsTable()
    serve: ServeTable = ServeTable()
    sensor: Annotated[list[SensorTable], Field(min_length=1)]
    source: list[SourceTable] = []
    partner: list[PartnerTable] = []
    line: list[LineTable] = []

    @model_validator(mode="after")
    def _check(self) -> Self:
        _unique_ids(self.sensor)
        partners = [partner.id for partner in self.partner]
        for name in partners:
            if name == self.node.name:
                raise ValueError(f"partner {name!r} is this node itself")
            if partners.count(name) > 1:
                raise ValueError(f"partner: the id {name!r} is given twice")
        if self.broker.tls is not None and self.broker.tls.certificate is not None:
            for partner in self.partner:
                if partner.agreement is not None and partner.tls is None:
                    # With the core's the two would push each other out for ever.
                    raise ValueError(
                        f"partner {partner.id!r}: tls is missing: its publisher needs a "
                        "certificate of its own at our broker"
                    )
        known = {sensor.id for sensor in self.sensor}
        for source in self.source:
            if strangers := sorted(set(source.sensors) - known):
                raise ValueError(
                    f"source {source.id!r} names sensors that are not in this file: "
                    + ", ".join(strangers)
                )
        return self
