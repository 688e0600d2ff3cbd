"""Who may ask, what a browser may do with the answer, and errors as JSON.

The console listens on loopback or inside a centre's own network and has no log-in of its own, so a
web page from elsewhere in the same browser must not be able to read it:

- a foreign name that resolves to this address (DNS rebinding) fails at the ``Host`` header: it
  must be ``localhost``, an IP address as digits, or a name that the site allows;
- a foreign page that opens the feed fails at the ``Origin`` header, which must name this host;
- everything else is kept apart by the browser: no CORS header is ever sent.
"""

import ipaddress
import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Sent with every answer; W3C CSP 3, WHATWG Fetch (nosniff, CORP), W3C Referrer Policy."""

_HOST = re.compile(
    r"^(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]/@\s]+))(?::(?P<port>\d{1,5}))?$"
)


class JSON(Response):
    """A JSON answer; NaN and infinity become null."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Bytes of plain data."""
        return msgspec.json.encode(content)


def error(status: int, message: str) -> Response:
    """The one shape of every error: ``{"error": {"status", "title", "message"}}``."""
    body = {"status": status, "title": HTTPStatus(status).phrase, "message": message}
    return JSON({"error": body}, status, headers={**SECURITY_HEADERS, "Cache-Control": "no-store"})


def host_problem(host: str | None, names: frozenset[str]) -> str | None:
    """Why a ``Host`` header is refused, or None.

    Parameters
    ----------
    host
        Its value, or None where there is none.
    names
        Host names in lower case that are allowed besides ``localhost`` and addresses.
    """
    match = _HOST.match(host or "")
    if match is None:
        return f"the Host header {host!r} is not a host name or address"
    name = (match["v6"] or match["name"]).lower().rstrip(".")
    if name == "localhost" or name in names:
        return None
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return f"host name {name!r} is not allowed here; name it in [serve] hosts, or use localhost"
    return None


def origin_problem(origin: str | None, host: str) -> str | None:
    """Why an ``Origin`` header is refused, or None (programs send none)."""
    if origin is None or origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower()):
        return None
    return f"a page of {origin!r} may not read the feed of {host!r}"


class Guard:
    """ASGI middleware: the checks above, and security headers on every answer.

    Parameters
    ----------
    app
        What it guards.
    hosts
        Host names allowed besides ``localhost`` and addresses.
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._names = frozenset(name.lower().rstrip(".") for name in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check and pass on one request or socket."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        host = headers.get("host")
        if problem := host_problem(host, self._names):
            await self._refuse(421, problem, scope, receive, send)
            return
        if scope["type"] == "websocket":
            if problem := origin_problem(headers.get("origin"), host or ""):
                await self._refuse(403, problem, scope, receive, send)
                return
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answer.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_guarded)

    async def _refuse(
        self, status: int, problem: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        answer = error(status, problem)
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).send_denial_response(answer)
        else:
            await answer(scope, receive, send)
