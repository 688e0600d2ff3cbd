"""Sends the load of `benchmarks.load` for hours. ``python -m benchmarks.chaos.steady``.

The load itself is made for one minute; it is sent again and again with times of its own, so that
movers go to and fro and nothing is kept in memory.
"""

import argparse
import sys
import time

import msgspec

from benchmarks.load import CONNECT_S, SENSORS, Load
from link.publisher import Publisher
from link.settings import ClientSettings
from model.errors import LinkError
from model.time import NS_PER_S
from vedette.local.process import watch_parent

MINUTE_S = 60.0


def main() -> int:
    """Send until all is sent."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos.steady")
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--protocol", required=True)
    parser.add_argument("--node", default="soak")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--rate-hz", type=float, required=True)
    args = parser.parse_args()
    watch_parent()
    minute = [
        (topic, payload)
        for topic, payload in Load(args.node, round(args.rate_hz * MINUTE_S), args.rate_hz).encoded(
            0
        )
    ]
    there_and_back = [*minute, *reversed(minute)]
    settings = ClientSettings(args.host, args.port, "steady", protocol=args.protocol)
    publisher = Publisher(settings)
    publisher.start()
    if not publisher.wait_connected(CONNECT_S):
        raise LinkError(f"broker {settings.name} does not answer")
    began_ns = time.time_ns()
    seqs = dict.fromkeys(range(SENSORS), 0)
    for number in range(args.count):
        due_ns = began_ns + round(number * NS_PER_S / args.rate_hz)
        left_ns = due_ns - time.time_ns()
        if left_ns > 0:
            time.sleep(left_ns / NS_PER_S)
        topic, payload = there_and_back[number % len(there_and_back)]
        sensor = int(topic.split("/")[3].rsplit("-", 1)[1])
        seqs[sensor] += 1
        publisher.publish(topic, _again(payload, due_ns, f"s{began_ns % 10**9}", seqs[sensor]))
    publisher.flush()
    publisher.stop()
    return 0


def _again(payload: bytes, time_ns: int, boot: str, seq: int) -> bytes:
    """The same report at another time, under another number, in the same form."""
    form = msgspec.json if payload[:1] == b"{" else msgspec.msgpack
    report = form.decode(payload)
    report |= {"time_ns": time_ns, "boot": boot, "seq": seq}
    return bytes(form.encode(report))


if __name__ == "__main__":
    sys.exit(main())
