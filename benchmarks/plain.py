"""What one writes in an afternoon: a paho subscriber that decodes and stores, for comparison.

It takes the same bytes from the same broker into the same server: ``json.loads`` (MessagePack with
msgspec), one transaction with two ``executemany`` for whatever has come meanwhile. It has no
journal (paho acknowledges at once, so a crash loses what is in memory), checks nothing, knows no
duplicates and makes no tracks.
"""

import argparse
import json
import queue
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from vedette.local.process import watch_parent

TABLES = """
CREATE TABLE plain_reports (sensor text, boot text, seq bigint, time_ns bigint);
CREATE TABLE plain_detections (sensor text, boot text, seq bigint, item int, kind text,
    lat double precision, lon double precision, sigma_m double precision);
"""

TAKEN = 500
"""Messages stored in one transaction at most."""

WAIT_S = 0.2
"""Longest wait for a message, s."""


class Plain:
    """Subscriber and writer.

    Parameters
    ----------
    dsn
        Database, in which it makes its tables.
    host, port, protocol
        The broker.
    topic
        What it subscribes to.
    """

    def __init__(self, dsn: str, host: str, port: int, protocol: str, topic: str) -> None:
        self._inbox: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._unpack = msgspec.msgpack.Decoder().decode
        self._database = psycopg.connect(dsn)
        self._database.execute(TABLES)
        self._database.commit()
        version = MQTTProtocolVersion.MQTTv5 if protocol == "5" else MQTTProtocolVersion.MQTTv311
        self._client = Client(CallbackAPIVersion.VERSION2, protocol=version)
        self._client.on_message = self._message
        self._subscribed: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._client.on_subscribe = lambda *_: self._subscribed.put(True)
        self._client.connect(host, port)
        self._client.loop_start()
        self._client.subscribe(topic, qos=1)
        self._subscribed.get(timeout=10.0)

    def close(self) -> None:
        """Disconnect from both."""
        self._client.disconnect()
        self._client.loop_stop()
        self._database.close()

    def _message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        self._inbox.put(bytes(message.payload))

    def store(self) -> int:
        """Store what has come; returns the number of reports."""
        reports: list[tuple[Any, ...]] = []
        detections: list[tuple[Any, ...]] = []
        with suppress(queue.Empty):
            while len(reports) < TAKEN:
                payload = self._inbox.get(timeout=0.0 if reports else WAIT_S)
                report = json.loads(payload) if payload[:1] == b"{" else self._unpack(payload)
                key = (report["sensor"], report["boot"], report["seq"])
                reports.append((*key, report["time_ns"]))
                detections.extend(
                    (*key, item, one["kind"], one["lat"], one["lon"], one["sigma_m"])
                    for item, one in enumerate(report["detections"])
                )
        if reports:
            with self._database.cursor() as cursor:
                cursor.executemany("INSERT INTO plain_reports VALUES (%s, %s, %s, %s)", reports)
                cursor.executemany(
                    "INSERT INTO plain_detections VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    detections,
                )
            self._database.commit()
        return len(reports)


def main() -> int:
    """Store a number of reports and write when the last was committed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plain")
    parser.add_argument("ready", type=Path, help="made once it is subscribed")
    parser.add_argument("out", type=Path, help="file for the outcome, JSON")
    parser.add_argument("--dsn", required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--count", type=int, required=True)
    args = parser.parse_args()
    watch_parent()
    plain = Plain(args.dsn, args.host, args.port, args.protocol, args.topic)
    began_s = time.process_time()
    args.ready.touch()
    stored = 0
    while stored < args.count:
        stored += plain.store()
    outcome = {"ended_ns": time.time_ns(), "stored": stored, "cpu_s": time.process_time() - began_s}
    plain.close()
    fresh = args.out.with_suffix(".new")
    fresh.write_text(json.dumps(outcome))
    fresh.rename(args.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
