"""Decoders that break their contract: only the culprit is refused."""

import signal
import threading
import time

import pytest

from ingest.watchdog import DecodeTimeout, available, time_limit
from tests.ingest.samples import node, outcome, reasons, record, run, said, topic

BAD = topic("bad-1", "raw")
PAYLOADS = [b"a", b"raise", b"b", b"shift", b"c"]


def records(payloads=PAYLOADS):
    return [record(offset, BAD, payload) for offset, payload in enumerate(payloads)] + [
        record(len(payloads), topic("radar-1"), said())
    ]


def test_only_the_culprits_are_refused():
    found = node().process(records())
    assert reasons(found) == [(1, -1, "decoder_raised"), (3, -1, "decoder_raised")]
    assert found.detections.offset.tolist() == [0, 2, 4, 5]
    # what was remembered is as if the culprits had never come
    assert found.detections.seq.tolist() == [1, 2, 3, -1]
    assert found.quarantined[0].detail == "ZeroDivisionError: object at 0x…"
    assert "offset" in found.quarantined[1].detail
    assert found.timed_out == ()


@pytest.mark.parametrize("size", [1, 2, 3])
def test_cut_into_batches_changes_nothing(size):
    whole = run(node(), records())
    assert outcome(run(node(), records(), (size,) * 6)) == outcome(whole)


@pytest.mark.parametrize("payload", [b"loop", b"stubborn"])
def test_a_decoder_that_loops(payload):
    found = node(decode_timeout_s=0.05).process(records([b"a", payload, b"b"]))
    assert reasons(found) == [(1, -1, "decoder_timeout")]
    assert found.timed_out == (1,)
    assert found.detections.offset.tolist() == [0, 2, 3]
    assert found.detections.seq.tolist() == [1, 2, -1]


def test_what_was_shed_live_is_shed_on_replay():
    inputs = records([b"a", b"loop", b"b"])
    live = node(decode_timeout_s=0.05)
    first = live.process(inputs)
    replay = node()
    for offset in first.timed_out:
        replay.shed(offset, "decoder_timeout")
    second = replay.process(inputs, timed=False)
    assert outcome([second]) == outcome([first])
    assert second.timed_out == ()
    assert replay.snapshot() == live.snapshot()


def test_shed_knows_its_reasons():
    with pytest.raises(ValueError, match="bored"):
        node().shed(1, "bored")


def _loop():
    while True:
        pass


def test_no_limit_without_time():
    handler = signal.getsignal(signal.SIGALRM)
    with time_limit(0.0):
        assert signal.getsignal(signal.SIGALRM) is handler
    with time_limit(5.0):
        assert signal.getsignal(signal.SIGALRM) is not handler


def test_earlier_timer_and_handler_come_back():
    rung = []
    handler = signal.signal(signal.SIGALRM, lambda *_: rung.append(1))
    timer = signal.setitimer(signal.ITIMER_REAL, 30.0)
    try:
        with pytest.raises(DecodeTimeout), time_limit(0.02):
            _loop()
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 25.0 < left <= 30.0
        with time_limit(5.0):
            pass
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.raise_signal(signal.SIGALRM)
        assert rung == [1]
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def test_other_threads_have_no_limit():
    seen = []

    def work():
        with time_limit(0.01):
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                pass
        seen.append(available())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
    assert available()
