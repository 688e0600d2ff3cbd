"""``vedette doctor``: what is wrong with a node, said in a line each; it never changes anything."""

import argparse
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from adapters.registry import load_all
from config import Site, load_site
from journal.scan import total_bytes
from link.publisher import Publisher
from link.settings import ClientSettings, Tls
from model.errors import ConfigError, LinkError, StorageError
from storage.connection import connect
from vedette.doctor_findings import BROKEN, LOOK, Finding, Report
from vedette.doctor_journal import data_folder, examine
from vedette.local.broker import find_mosquitto
from vedette.local.installation import foreign_owners
from vedette.partners import partner_problems

EPILOG = """\
examples:
  vedette doctor                        this installation
  vedette doctor site.toml              and this site: file, broker, database, disk, journal
  vedette doctor journal /srv/vedette   a data folder alone, the node running or not

It reads, and changes nothing: no lock, no file. Every finding is a line that names the file, the
offset and what to do. Exit status: 0 all is well; 1 worth a look, nothing promised is lost; 2
something stored or promised is not there, the node cannot start, or a mistake in the command.
"""

BROKER_S = 3.0
"""How long the broker may take to answer, s."""

SPARE = 1.1
"""Room that the disk should have beside what the journal and outputs may still grow to."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "doctor",
        help="find out what is wrong with a node; changes nothing",
        description="Check the installation, a site, or a node's data folder.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("what", nargs="*", metavar="SITE.toml | journal DIR")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Look, print, and return 0, 1 or 2."""
    what = args.what
    if what[:1] == ["journal"] and len(what) == 2:
        reports = [_journal(Path(what[1]))]
    elif len(what) <= 1 and what != ["journal"]:
        reports = [_installation()]
        if what:
            reports += _site(Path(what[0]))
    else:
        raise ConfigError(["doctor: give nothing, SITE.toml, or `journal` and a data folder"])
    status = max(report.status for report in reports)
    if args.json:
        print(json.dumps(_document(reports, status)))
    else:
        for report in reports:
            _print(report)
        print("nothing wrong" if status == 0 else f"status {status}")
    return status


def _document(reports: list[Report], status: int) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for report in reports:
        facts |= report.facts
    findings = [
        {
            "level": one.level,
            "file": one.file,
            "offset": one.offset,
            "byte": one.byte,
            "text": one.text,
            "advice": one.advice,
            "affected": one.affected,
        }
        for report in reports
        for one in report.findings
    ]
    return {"status": status, "findings": findings, **facts}


def _print(report: Report) -> None:
    for name in ("journal", "outputs"):
        if found := report.facts.get(name):
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in found["kinds"].items())
            print(
                f"{name}: offsets {found['start']} to {found['end']} in {found['segments']} "
                f"segments, {found['bytes'] / 1e6:.1f} MB; {kinds or 'empty'}"
                + (f"; {found['first']} to {found['last']}" if found["first"] else "")
            )
    for name in ("receipts", "cursors", "snapshots", "starts_from"):
        if name in report.facts:
            value = report.facts[name]
            if isinstance(value, dict):
                value = ", ".join(f"{key} {one}" for key, one in value.items()) or "none"
            print(f"{name}: {value}")
    for name in ("installation", "site", "broker", "database", "disk"):
        if name in report.facts:
            print(f"{name}: {report.facts[name]}")
    for finding in report.findings:
        print(finding.line())


def _journal(folder: Path) -> Report:
    folder = data_folder(folder)
    with _progress(total_bytes(folder / "journal") + total_bytes(folder / "outputs")) as advance:
        return examine(folder, advance)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("reading"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task("", total=total)
        yield lambda size: progress.advance(task, size)


def _installation() -> Report:
    report = Report(Path())
    report.findings += [
        Finding(BROKEN, "installation", problem, "see docs/decisions/001")
        for problem in foreign_owners()
    ]
    broker = find_mosquitto()
    report.facts["installation"] = (
        f"Python {sys.version.split()[0]}, mosquitto {broker or 'not found'}"
    )
    return report


def _site(path: Path) -> list[Report]:
    """Everything that can be told of a site from here."""
    report = Report(path)
    try:
        site = load_site(path, load_all())
    except ConfigError as error:
        advice = "mend the line; `vedette check` says the same"
        report.findings += [Finding(BROKEN, str(path), one, advice) for one in error.problems]
        return [report]
    report.facts["site"] = f"node {site.node} ({site.mode}), {len(site.engine.sensors)} sensors"
    report.findings += [
        Finding(BROKEN, str(path), one, "see docs/sharing.md") for one in partner_problems(site)
    ]
    _broker(report, site)
    _database(report, site)
    _disk(report, site)
    reports = [report]
    if (site.data_dir / "journal").is_dir():
        reports.append(_journal(site.data_dir))
    else:
        report.facts["disk"] += "; no journal yet"
    return reports


def _handshake(report: Report, site: Site, tls: Tls) -> None:
    """Shake hands and no more: a second client of the node's identity would push the core out."""
    name = f"{site.broker.host}:{site.broker.port}"
    try:
        address = (site.broker.host, site.broker.port)
        with (
            socket.create_connection(address, timeout=BROKER_S) as plain,
            tls.context().wrap_socket(plain, server_hostname=site.broker.host) as secure,
        ):
            report.facts["broker"] = f"{name} answers ({secure.version()}); not asked further"
    except (OSError, LinkError) as error:
        advice = "start it, or mend [broker] in the site file; see docs/identities.md"
        report.findings.append(Finding(BROKEN, name, f"broker: {error}", advice))


def _broker(report: Report, site: Site) -> None:
    if (tls := site.tls(site.broker.tls)) is not None:
        _handshake(report, site, tls)
        return
    settings = ClientSettings(
        host=site.broker.host,
        port=site.broker.port,
        client_id=f"vedette-doctor-{os.getpid()}",
        username=site.broker.username,
        password=site.password,
        protocol=site.broker.protocol,
    )
    link = Publisher(settings)
    link.start()
    try:
        if link.wait_connected(BROKER_S):
            protocol = link.status.protocol
            report.facts["broker"] = f"{settings.name} answers (MQTT {protocol})"
            if protocol != "5":
                text = "MQTT 3.1.1 alone: it cannot say that nobody has subscribed"
                advice = "receipts work all the same; use Mosquitto where you can"
                report.findings.append(Finding(LOOK, settings.name, text, advice))
            return
        why = link.status.reason or "no answer"
    finally:
        link.stop()
    advice = "start it, or mend [broker] in the site file; senders keep what they have meanwhile"
    report.findings.append(Finding(BROKEN, settings.name, f"broker: {why}", advice))


def _database(report: Report, site: Site) -> None:
    try:
        connect(site.database_dsn).close()
    except StorageError as error:
        advice = "start it, or mend database.dsn; the picture stays live and is stored later"
        report.findings.append(Finding(LOOK, str(site.path), f"database: {error}", advice))
    else:
        report.facts["database"] = "answers"


def _disk(report: Report, site: Site) -> None:
    folder = site.data_dir
    there = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(there).free
    budget = site.limits.journal_budget_mb << 20
    held = total_bytes(folder / "journal") + total_bytes(folder / "outputs")
    wanted = max(0, 2 * budget - held) * SPARE
    report.facts["disk"] = f"{free / 1e9:.1f} GB free at {there}"
    if free < wanted:
        text = (
            f"{free / 1e9:.1f} GB free, but journal and outputs may grow by {wanted / 1e9:.1f} GB "
            "(limits.journal_budget_mb)"
        )
        advice = "make room or lower the budget; a full disk stops acknowledgements until there is"
        report.findings.append(Finding(LOOK, str(there), text, advice))
