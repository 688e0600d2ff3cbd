"""The routes of the console; every one but `/feed` is in `console.describe`."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from console.broadcast import PERIOD_S, Broadcast
from console.describe import OPENAPI
from console.guard import JSON, Guard, error
from console.plain import contribution_objects, track_objects
from console.source import (
    ForeignTracks,
    PictureSource,
    contributions_of,
    doubted_since,
    foreign_of,
)
from model.arrays import Array
from model.time import iso_from_ns
from model.tracks import Status, TrackUpdates

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
VENDOR = STATIC / "vendor"
NO_VENDOR = "no base map: console/static/vendor is empty; `make setup` fetches it"
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"
ALWAYS_ASK = {"Cache-Control": "no-cache"}
"""A page and its scripts from two versions must never meet: ask each time, 304 by ETag."""

NEVER_KEEP = {"Cache-Control": "no-store"}

LIVE = {value.name.lower(): value for value in Status if value is not Status.DELETED}
ORIGINS = ("own", "foreign")
MOST_DIGITS = 19
"""Decimal digits of the largest int64."""

T = TypeVar("T")


class _SourceFailed(Exception):  # noqa: N818 - a state of the source, named as one
    """The picture source raised; its own error is the cause."""


class _Static(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers.update(ALWAYS_ASK)
        return answer


def create_app(
    source: PictureSource,
    *,
    node: str,
    hosts: Iterable[str] = (),
    clock: Callable[[], int] = time.time_ns,
    period_s: float = PERIOD_S,
) -> Starlette:
    """The console of one node.

    Parameters
    ----------
    source
        Where everything shown comes from.
    node
        Name of the node.
    hosts
        Host names, besides ``localhost`` and IP addresses, under which browsers may ask.
    clock
        UTC nanoseconds.
    period_s
        Seconds between two messages of the feed.
    """
    broadcast = Broadcast(source, node, clock=clock, period_s=period_s)

    def now() -> str:
        return iso_from_ns(clock())

    async def page(_: Request) -> Response:
        return FileResponse(STATIC / "index.html", headers=ALWAYS_ASK)

    async def healthz(_: Request) -> Response:
        ok, reason = _ask(source.healthy)
        body = {"ok": ok, "reason": reason, "node": node, "time": now()}
        return JSON(body, 200 if ok else 503, headers=NEVER_KEEP)

    async def metrics(_: Request) -> Response:
        text = _ask(source.metrics)
        own = _own_metrics(broadcast)
        return PlainTextResponse(
            f"{text.rstrip()}\n{own}".lstrip(), headers=NEVER_KEEP, media_type=PROMETHEUS
        )

    async def status(_: Request) -> Response:
        ok, reason = _ask(source.healthy)
        tracks = _ask(source.tracks)
        body = {
            "node": node,
            "time": now(),
            "ok": ok,
            "reason": reason,
            "tracks": {
                value.name.lower(): int(np.count_nonzero(tracks.status == value))
                for value in (Status.CONFIRMED, Status.COASTING, Status.TENTATIVE)
            },
            "foreign": _foreign_counts(_ask(lambda: foreign_of(source))),
            "feed": {"readers": broadcast.readers, "period_s": period_s},
            "base_map": base_map_problem(),
            "status": _ask(source.status),
        }
        return JSON(body, headers=NEVER_KEEP)

    async def tracks(request: Request) -> Response:
        wanted = _choice(request, "status", LIVE)
        origins = _choice(request, "origin", ORIGINS)
        rows: list[dict[str, Any]] = []
        if "own" in origins:
            heads, sensor_ids = _ask(source.tracks), _ask(source.sensor_ids)
            chosen = heads.take(_with_status(heads, wanted))
            rows += track_objects(chosen, sensor_ids, node)
        if "foreign" in origins:
            for one in _ask(lambda: foreign_of(source)):
                part = one.take(_with_status(one.updates, wanted))
                rows += track_objects(part.updates, (), node, part)
        return JSON({"node": node, "time": now(), "tracks": rows}, headers=NEVER_KEEP)

    async def track(request: Request) -> Response:
        text = request.path_params["id"]
        giver = _parameters(request, {"node"}).get("node", node)
        if not text.isdecimal() or len(text) > MOST_DIGITS:
            raise HTTPException(404, f"{text!r} is no track id")
        heard = _ask(lambda: contributions_of(source, int(text))) if giver == node else {}
        since = _ask(lambda: doubted_since(source, int(text))) if giver == node else None
        body = {
            "node": node,
            "time": now(),
            "track": _one_track(source, node, giver, int(text)),
            "contributions": contribution_objects(heard, clock()),
            "doubted_since": None if since is None else iso_from_ns(since),
        }
        return JSON(body, headers=NEVER_KEEP)

    async def openapi(_: Request) -> Response:
        return JSON(OPENAPI, headers=ALWAYS_ASK)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        polling = asyncio.create_task(broadcast.run(), name="console.broadcast")
        try:
            yield
        finally:
            polling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await polling

    return Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            Route("/api/status", status),
            Route("/api/tracks", tracks),
            Route("/api/tracks/{id}", track),
            Route("/api/openapi.json", openapi),
            WebSocketRoute("/feed", broadcast.attend),
            Mount("/static", _Static(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=tuple(hosts))],
        exception_handlers={
            HTTPException: _http_error,
            _SourceFailed: _source_failed,
            Exception: _unexpected,
        },
        lifespan=lifespan,
        max_body_size=0,
    )


def _ask(question: Callable[[], T]) -> T:
    """What the source answers; its failure is one kind of error to the routes."""
    try:
        return question()
    except Exception as cause:
        raise _SourceFailed(f"{type(cause).__name__}: {cause}") from cause


def base_map_problem() -> str:
    """Why the page can draw no base map; empty: it can."""
    return "" if (VENDOR / "LICENSES.txt").is_file() else NO_VENDOR


def _foreign_counts(foreign: Sequence[ForeignTracks]) -> dict[str, int]:
    """Confirmed and coasting tracks by giving node."""
    counts: dict[str, int] = {}
    for one in foreign:
        shown = _with_status(one.updates, {"confirmed", "coasting"})
        counts[one.giver.node] = counts.get(one.giver.node, 0) + int(np.count_nonzero(shown))
    return counts


def _with_status(tracks: TrackUpdates, names: set[str]) -> Array:
    """Mask of the rows that have one of these statuses."""
    return np.isin(tracks.status, [LIVE[name] for name in names])


def _one_track(
    source: PictureSource, node: str, giver: str, track_id: int
) -> dict[str, Any] | None:
    """One track as a plain object; None: there is none now."""
    if giver == node:
        heads = _ask(source.tracks)
        rows = np.flatnonzero((heads.track_id == track_id) & _with_status(heads, set(LIVE)))[-1:]
        found = track_objects(heads.take(rows), _ask(source.sensor_ids), node)
        return found[0] if found else None
    for one in _ask(lambda: foreign_of(source)):
        if one.giver.node == giver:
            mask = (one.updates.track_id == track_id) & _with_status(one.updates, set(LIVE))
            part = one.take(np.flatnonzero(mask)[-1:])
            if len(part.updates):
                return track_objects(part.updates, (), node, part)[0]
    return None


def _parameters(request: Request, known: Iterable[str]) -> Mapping[str, str]:
    """Query parameters, none of them unknown."""
    known = sorted(known)
    if unknown := set(request.query_params) - set(known):
        names = ", ".join(repr(name) for name in known)
        raise HTTPException(400, f"unknown parameter {min(unknown)!r}; known: {names}")
    return request.query_params


def _choice(request: Request, name: str, known: Iterable[str]) -> set[str]:
    """Values that a parameter lists; all of them without it."""
    text = _parameters(request, {"status", "origin"}).get(name)
    if text is None:
        return set(known)
    chosen = text.split(",")
    for value in chosen:
        if value not in known:
            raise HTTPException(400, f"{name}: {value!r} is not one of {', '.join(known)}")
    return set(chosen)


def _own_metrics(broadcast: Broadcast) -> str:
    """What the console counts itself, in the Prometheus text format."""
    rows = (
        ("readers", "gauge", "Sockets that read the feed.", broadcast.readers),
        ("messages_total", "counter", "Feed messages sent.", broadcast.messages),
        ("bytes_total", "counter", "Feed bytes sent.", broadcast.bytes),
        ("source_failures_total", "counter", "Times the source failed.", broadcast.failures),
    )
    return "".join(
        f"# HELP vedette_console_feed_{name} {text}\n# TYPE vedette_console_feed_{name} {kind}\n"
        f"vedette_console_feed_{name} {value}\n"
        for name, kind, text, value in rows
    )


async def _http_error(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, HTTPException)  # noqa: S101 - registered for this class alone
    answer = error(problem.status_code, problem.detail)
    answer.headers.update(problem.headers or {})
    return answer


async def _source_failed(_: Request, problem: Exception) -> Response:
    log.error("console: the picture source failed: %s", problem, exc_info=problem)
    return error(503, f"the picture source failed: {problem}")


async def _unexpected(_: Request, problem: Exception) -> Response:
    return error(500, f"{type(problem).__name__}; the log of serve says more")
