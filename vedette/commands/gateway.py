"""``vedette gateway``: beside the hardware, until the node has stored what it says."""

import argparse
import contextlib
import json
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from config import load_site
from ingest.outbox import Outbox
from ingest.receipts import source_sensors
from link.settings import ClientSettings
from model.errors import ConfigError
from vedette.credentials import add_tls_options, settings_for, tls_of
from vedette.gateway import Bounds, Gateway, Where
from vedette.gateway_inputs import (
    Hopper,
    Input,
    device,
    followed,
    standard_input,
    tcp_client,
    tcp_server,
    udp,
)
from vedette.local.process import watch_parent
from vedette.logs import set_up

EPILOG = """\
examples:
  radar-driver | vedette gateway --broker 10.0.0.5:1883 --node north --sensor radar-1
  vedette gateway --site site.toml --sensor ais-1 --udp 0.0.0.0:10110
  vedette gateway --site site.toml --sensor radar-1 --follow /var/log/radar.jsonl
  vedette gateway --site site.toml --sensor uav-1 --device /dev/ttyUSB0 --split none
  vedette gateway --broker north.example:8883 --node north --sensor radar-1 --source mast-1 \
      --ca trust.pem --certificate certificate.pem --key key.pem < radar.jsonl

Everything goes into the outbox, a file, before it is sent, and leaves it when the node says that it
has it in its journal. Nothing is dropped: when the outbox is full, nothing more is read until there
is room, and that is said. Kill it when you like; what waits is sent by the next start.
Exit status: 0 everything is stored, 1 something waits in the outbox, 2 a mistake.
"""

SHOW_S = 0.25
"""Pause between two looks of the progress line, s."""

MAX_AGE_H = 144.0
"""Oldest message in the outbox, h: a day below the 7 days after which a node refuses what a frame
holds (`ingest.limits.Limits.max_backlog_s`)."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command."""
    parser = subparsers.add_parser(
        "gateway",
        help="send what hardware says until it is stored",
        description="Send what one sensor's hardware says to a node, kept in an outbox until "
        "the node's receipt.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--site", type=Path, metavar="SITE.toml", help="a copy of the node's")
    where.add_argument("--broker", metavar="HOST:PORT", help="with --node, instead of --site")
    parser.add_argument("--node", help="name of the node, with --broker")
    parser.add_argument("--mode", choices=("live", "exercise"), default="live", help="of --node")
    parser.add_argument("--username", help="at the broker, with --broker")
    parser.add_argument("--password-file", type=Path, metavar="FILE")
    add_tls_options(parser, "source")
    parser.add_argument("--sensor", required=True, metavar="ID", help="whose bytes they are")
    parser.add_argument(
        "--source", metavar="ID", help="under which receipts come (default: as in SITE, else ID)"
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--follow", type=Path, metavar="FILE", help="lines appended to a file")
    source.add_argument("--device", type=Path, metavar="PATH", help="a serial line, set up already")
    source.add_argument("--tcp", metavar="HOST:PORT", help="connect to the hardware")
    source.add_argument("--listen", metavar="HOST:PORT", help="the hardware connects (TCP)")
    source.add_argument("--udp", metavar="HOST:PORT", help="datagrams, one message each")
    parser.add_argument(
        "--split",
        choices=("lines", "none"),
        default="lines",
        help="a message is a line (default), or what is read at a time (binary streams)",
    )
    parser.add_argument("--outbox", type=Path, metavar="FILE", help="default: <sensor>.outbox")
    parser.add_argument("--max-mb", type=float, default=1024.0, help="of the outbox (default 1024)")
    parser.add_argument(
        "--max-age-h", type=float, default=MAX_AGE_H, help=f"of it (default {MAX_AGE_H:g})"
    )
    parser.add_argument(
        "--resend-s", type=float, default=5.0, help="wait for a receipt (default 5)"
    )
    parser.add_argument(
        "--wait-s", type=float, metavar="S", help="for receipts after the end (default: no limit)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until the input ends and all is stored, or a signal."""
    set_up("gateway")
    watch_parent()
    where = _where(args)
    for name, value in (("--max-mb", args.max_mb), ("--max-age-h", args.max_age_h)):
        if not value > 0:
            raise ConfigError([f"{name}: must be above 0"])
    if not args.resend_s >= 0.1:
        raise ConfigError(["--resend-s: must be 0.1 or more"])
    bounds = Bounds(int(args.max_mb * 1e6), args.max_age_h * 3600.0, args.resend_s)
    boot = secrets.token_hex(6)
    path = args.outbox or Path(f"{args.sensor}.outbox")
    with Outbox(path, args.sensor, boot) as outbox:
        gateway = Gateway(where, outbox, boot, bounds)
        source = _input(args, gateway.hopper, outbox)

        def stop(number: int, _frame: object) -> None:
            if gateway.stopping.is_set():
                raise SystemExit(128 + number)
            gateway.stopping.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        with _shown() as shown:
            gateway.run(source, shown, args.wait_s)
        status = gateway.status()
    if args.json:
        print(json.dumps(status))
    else:
        sys.stderr.write(f"{_line(status)}\n")
    return 1 if status["waiting"] or status["cut"] else 0


def _where(args: argparse.Namespace) -> Where:
    client = f"vedette-gateway-{args.sensor}-{secrets.token_hex(3)}"
    if args.site is not None:
        site = load_site(args.site)
        ids = site.engine.sensors.ids
        if args.sensor not in ids:
            raise ConfigError([f"--sensor: {args.sensor!r} is not in {args.site}"])
        settings = settings_for(site, client, tls_of(args))
        speaks = source_sensors(ids, site.sources)
        first = next(name for name, sensors in speaks.items() if args.sensor in sensors)
        return Where(settings, site.topic_root, args.sensor, args.source or first)
    if not args.node:
        raise ConfigError(["--node: is missing (it goes with --broker)"])
    for key, name in (("--node", args.node), ("--sensor", args.sensor), ("--source", args.source)):
        if name and any(sign in name for sign in "/+#"):
            raise ConfigError([f"{key}: {name!r} is no name"])
    password = None
    if args.password_file is not None:
        try:
            password = args.password_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError([f"--password-file: {error}"]) from error
    host, port = _address("--broker", args.broker)
    settings = ClientSettings(
        host=host,
        port=port,
        client_id=client,
        username=args.username,
        password=password,
        tls=tls_of(args),
    )
    root = "vedette-exercise" if args.mode == "exercise" else "vedette"
    return Where(settings, f"{root}/{args.node}", args.sensor, args.source or args.sensor)


def _address(key: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65_535:
        raise ConfigError([f"{key}: {text!r} is not HOST:PORT"])
    return host.strip("[]"), int(port)


def _input(args: argparse.Namespace, hopper: Hopper, outbox: Outbox) -> Input:
    if args.follow is not None:
        path = args.follow.resolve()
        return followed(hopper, path, outbox.place(str(path)))
    if args.device is not None:
        return device(hopper, args.device, args.split)
    if args.tcp is not None:
        return tcp_client(hopper, _address("--tcp", args.tcp), args.split)
    if args.listen is not None:
        return tcp_server(hopper, _bound("--listen", args.listen, socket.SOCK_STREAM), args.split)
    if args.udp is not None:
        return udp(hopper, _bound("--udp", args.udp, socket.SOCK_DGRAM))
    return standard_input(hopper, args.split)


def _bound(key: str, text: str, kind: socket.SocketKind) -> socket.socket:
    host, port = _address(key, text)
    sock = None
    try:
        found = socket.getaddrinfo(host or None, port, type=kind, flags=socket.AI_PASSIVE)
        family, _, _, _, where = found[0]
        sock = socket.socket(family, kind)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        if kind == socket.SOCK_STREAM:
            sock.listen()
    except OSError as error:
        if sock is not None:
            sock.close()
        raise ConfigError([f"{key}: {text}: {error.strerror or error}"]) from error
    return sock


@contextlib.contextmanager
def _shown() -> Iterator[Callable[[Gateway], None] | None]:
    """A line that follows the work, where somebody looks."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    due = 0.0
    with Live(Text(""), console=console, auto_refresh=False, transient=True) as live:

        def show(gateway: Gateway) -> None:
            nonlocal due
            now = time.monotonic()
            if now >= due:
                due = now + SHOW_S
                live.update(Text(_line(gateway.status())), refresh=True)

        yield show


def _line(status: dict[str, Any]) -> str:
    """One line that says how it goes."""
    broker = status["broker"]
    first = (
        f"{status['sensor']}: {status['taken']:,} taken, {status['stored']:,} stored, "
        f"{status['waiting']:,} waiting ({status['waiting_bytes'] / 1e6:.1f} MB, "
        f"oldest {status['oldest_s']:.1f} s), {status['sent_again']:,} sent again"
    )
    parts = [first]
    if not broker["connected"] or broker["reason"]:
        parts.append(f"broker {broker['name']}: {broker['reason'] or 'away'}")
    if status["no_subscriber"]:
        parts.append(f"{status['no_subscriber']:,} times nobody had subscribed")
    if status["dropped_datagrams"]:
        parts.append(f"{status['dropped_datagrams']:,} datagrams dropped by the system")
    if status["cut_kept"]:
        parts.append(f"{status['cut_kept']:,} over the node's size limit, kept")
    if status["reading_stopped"]:
        parts.append(f"READING STOPPED: {status['reading_stopped']}")
    if status["input"]:
        parts.append(f"input: {status['input']}")
    return "; ".join(parts)
