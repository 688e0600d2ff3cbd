"""Load a site file or a sensors file; every mistake at once, a line each."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from config.agreements import ReceivedAgreements
from config.engine import EngineConfig, engine_config, engine_payload, with_agreements
from config.schema import (
    BrokerTable,
    LimitsTable,
    LineTable,
    PartnerTable,
    SensorsFile,
    SensorTable,
    ServeTable,
    SiteFile,
    SourceTable,
    TlsTable,
)
from link.settings import Tls
from model.errors import ConfigError
from model.ports import Adapter

Model = TypeVar("Model", bound=BaseModel)

SECRETS: dict[int | str, str] = {
    "password": "password_file",
    "passphrase": "password_file",
    "secret": "password_file",
    "token": "password_file",
    "key_pem": "key",
}
"""Keys under which people write secrets, and those to use instead."""


@dataclass(frozen=True, slots=True)
class Site:
    """A site file, read and checked.

    Parameters
    ----------
    path
        The file it came from.
    node, mode
        Name of the node; ``live`` or ``exercise``.
    data_dir
        Folder of journal, output log and snapshots; relative paths count from the file.
    broker, database_dsn, limits, serve
        The tables of the same names.
    sources
        Who may speak for which sensors.
    partners
        Nodes that tracks are given to or taken from.
    lines
        What the map shows besides.
    payload
        What the journal keeps of it (`config.engine`).
    engine
        The same, read.
    """

    path: Path
    node: str
    mode: str
    data_dir: Path
    broker: BrokerTable
    database_dsn: str
    limits: LimitsTable
    serve: ServeTable
    sources: tuple[SourceTable, ...]
    partners: tuple[PartnerTable, ...]
    lines: tuple[LineTable, ...]
    payload: bytes
    engine: EngineConfig

    def engine_payload(self) -> bytes:
        """Payload of the CONFIG record that this site asks for, agreements as they are now."""
        return with_agreements(self.payload, self.received_agreements().texts)

    def received_agreements(self) -> ReceivedAgreements:
        """Agreements under which partners give to us, as their files are now."""
        return ReceivedAgreements(self.path.parent, self.node, self.mode, self.partners)

    def partner(self, name: str) -> PartnerTable:
        """The partner of a name.

        Raises
        ------
        ConfigError
            There is none in the site file.
        """
        for table in self.partners:
            if table.id == name:
                return table
        known = ", ".join(table.id for table in self.partners) or "none"
        raise ConfigError([f"{self.path}: partner {name!r} is not in it (there are: {known})"])

    @property
    def topic_root(self) -> str:
        """First two levels of the node's topics."""
        return f"{'vedette-exercise' if self.mode == 'exercise' else 'vedette'}/{self.node}"

    @property
    def password(self) -> str | None:
        """Broker password, read from its file at each call."""
        return self.secret(self.broker.password_file, "broker.password_file")

    def tls(self, table: TlsTable | None) -> Tls | None:
        """The files of a ``tls`` table, where they really are."""
        if table is None:
            return None
        base = self.path.parent
        return Tls(
            ca=base / table.ca,
            certificate=None if table.certificate is None else base / table.certificate,
            key=None if table.key is None else base / table.key,
            crl=None if table.crl is None else base / table.crl,
        )

    def secret(self, file: Path | None, key: str) -> str | None:
        """What stands in a password file, read at each call.

        Parameters
        ----------
        file
            As the site file names it; None: there is none.
        key
            Where the site file names it, for the message.

        Raises
        ------
        ConfigError
            It cannot be read.
        """
        if file is None:
            return None
        try:
            return (self.path.parent / file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"{self.path}: {key}: {error}"]) from error


def load_site(path: Path, adapters: Mapping[str, Adapter] | None = None) -> Site:
    """Read a site file.

    Parameters
    ----------
    path
        The TOML file.
    adapters
        Those installed; given, names and options of adapters are checked too.

    Raises
    ------
    ConfigError
        With every mistake, a line each that names the file and the key.
    """
    file = _read(path, SiteFile)
    versions = _check_adapters(path, file.sensor, adapters)
    payload = engine_payload(
        file.node.name,
        file.node.mode,
        file.region,
        file.sensor,
        file.limits,
        versions,
        sources=file.source,
    )
    return Site(
        path=path,
        node=file.node.name,
        mode=file.node.mode,
        data_dir=(path.parent / file.node.data_dir).resolve(),
        broker=file.broker,
        database_dsn=file.database.dsn,
        limits=file.limits,
        serve=file.serve,
        sources=tuple(file.source),
        partners=tuple(file.partner),
        lines=tuple(file.line),
        payload=payload,
        engine=engine_config(payload),
    )


def load_sensors(
    path: Path, *, node: str = "track", adapters: Mapping[str, Adapter] | None = None
) -> bytes:
    """Read a sensors file (or the sensors of a site file) into the payload of a CONFIG record.

    Parameters
    ----------
    path
        The TOML file.
    node
        Name that the outputs will carry.
    adapters
        Those installed; given, names and options of adapters are checked too.

    Raises
    ------
    ConfigError
        With every mistake, a line each that names the file and the key.
    """
    document = _document(path)
    if "node" in document:
        site = load_site(path, adapters)
        return site.payload
    file = _validate(path, document, SensorsFile)
    versions = _check_adapters(path, file.sensor, adapters)
    return engine_payload(
        node, "live", file.region, file.sensor, file.limits, versions, sources=file.source
    )


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror or error}"]) from error
    except UnicodeDecodeError as error:
        raise ConfigError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from error


def _read(path: Path, model: type[Model]) -> Model:
    return _validate(path, _document(path), model)


def _validate(path: Path, document: dict[str, Any], model: type[Model]) -> Model:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        lines: dict[str, str] = {}
        for item in error.errors():
            # A value that fits no member of a union is reported once, by the first member.
            key = _key(item["loc"])
            lines.setdefault(key, _line(path, key, document, item))
        raise ConfigError(list(lines.values())) from error


def _key(location: tuple[int | str, ...]) -> str:
    """A place in the document as a person writes it, without pydantic's own words."""
    key = ""
    for part in location:
        if isinstance(part, int):
            key += f"[{part}]"
        elif part.isidentifier() and part != "float":
            key += f".{part}" if key else part
    return key


def _line(path: Path, key: str, document: dict[str, Any], item: Any) -> str:
    """One mistake as one line: file, key, what is wrong, what stood there."""
    sensor = ""
    if item["loc"][:1] == ("sensor",) and len(item["loc"]) > 1:
        tables = document.get("sensor")
        index = item["loc"][1]
        if isinstance(tables, list) and isinstance(index, int) and index < len(tables):
            table = tables[index]
            if isinstance(table, dict) and isinstance(table.get("id"), str):
                sensor = f" (sensor {table['id']!r})"
    message = item["msg"].removeprefix("Value error, ")
    last = item["loc"][-1] if item["loc"] else ""
    if item["type"] == "extra_forbidden" and last in SECRETS:
        message = "a secret stands in a file of its own (mode 0600); name that: " + SECRETS[last]
    elif item["type"] == "inline_secret":
        pass  # and what stood there is not said again
    elif item["type"] == "extra_forbidden":
        message = "unknown key"
    elif item["type"] == "missing":
        message = "missing"
    elif not isinstance(item["input"], dict | list):
        message += f" (got {item['input']!r})"
    return f"{path}: {key + sensor + ': ' if key else ''}{message}"


def _check_adapters(
    path: Path, sensors: list[SensorTable], adapters: Mapping[str, Adapter] | None
) -> dict[str, str]:
    if adapters is None:
        return {}
    problems = []
    versions: dict[str, str] = {"report": adapters["report"].version}
    for index, sensor in enumerate(sensors):
        where = f"{path}: sensor[{index}] ({sensor.id!r})"
        adapter = adapters.get(sensor.adapter)
        if adapter is None:
            known = ", ".join(sorted(adapters))
            problems.append(f"{where}.adapter: no adapter {sensor.adapter!r} (there are {known})")
            continue
        versions[sensor.adapter] = adapter.version
        problems.extend(
            f"{where}.options: {mistake}" for mistake in adapter.check_options(sensor.options)
        )
    if problems:
        raise ConfigError(problems)
    return dict(sorted(versions.items()))
