"""A small DevTools client: one headless Chromium, driven in plain function calls.

``with Browser.start(tmp_path) as browser: page = browser.open(url)``. It keeps what the page
logged, threw and asked for, so that a test can demand that nothing was wrong. Only what it started
is ended. Chrome DevTools Protocol 1.3.
"""

import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT_S = 30.0

DRIVER = (
    "GL Driver Message (OpenGL, Performance, GL_CLOSE_PATH_NV, High): GPU stall due to ReadPixels"
)
"""What Chromium says of itself when it draws WebGL in software; the page reads no pixels."""

T = TypeVar("T")


def find_browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Browser:
    """A running Chromium; a context manager.

    Parameters
    ----------
    process
        Its process, leader of a process group of its own.
    socket
        DevTools socket of the browser.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", socket: ClientConnection) -> None:
        self._process = process
        self._socket = socket
        self._count = 0
        self._pages: dict[str, Page] = {}

    @classmethod
    def start(cls, folder: Path, *, width: int = 1600, height: int = 900) -> Self:
        """Start Chromium with a new profile in `folder`.

        Raises
        ------
        RuntimeError
            If there is none, or it does not come up.
        """
        path = find_browser()
        if path is None:
            raise RuntimeError("no Chromium on the PATH")
        profile = folder / "chromium-profile"
        command = [
            path,
            "--headless",
            "--no-sandbox",  # tests may run as root
            "--disable-gpu",
            "--enable-unsafe-swiftshader",  # WebGL in software, for the base map
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-default-apps",
            "--disable-extensions",
            "--no-first-run",
            "--no-proxy-server",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            "about:blank",
        ]
        with (folder / "chromium.log").open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=output, start_new_session=True
            )
        try:
            url = _debugger_url(profile / "DevToolsActivePort", process, folder / "chromium.log")
            # No pings: their thread draws from `random`, whose state is the whole process's, and
            # Hypothesis takes that for a strategy's doing in whatever test draws at the time.
            socket = connect(url, max_size=None, compression=None, proxy=None, ping_interval=None)
        except BaseException:
            _end(process)
            raise
        return cls(process, socket)

    def open(self, url: str, *, width: int = 1600, height: int = 900) -> "Page":
        """Open a page and wait until it has loaded."""
        target = self.call("Target.createTarget", {"url": "about:blank"})["targetId"]
        session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True})
        page = Page(self, session["sessionId"], target)
        self._pages[page.session] = page
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", size)
        page.call("Page.navigate", {"url": url})
        # The blank document is complete too, and may still be there for a moment.
        page.wait("location.href !== 'about:blank' && document.readyState === 'complete'")
        return page

    def call(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> dict[str, Any]:
        """Send a command and return its result, taking in events meanwhile.

        Raises
        ------
        RuntimeError
            If the browser refuses the command.
        """
        self._count += 1
        number = self._count
        message: dict[str, Any] = {"id": number, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        self._socket.send(json.dumps(message))
        while True:
            answer = json.loads(self._socket.recv(timeout=TIMEOUT_S))
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._event(answer)

    def close_pages(self) -> None:
        """Close every page that `open` gave."""
        for page in self._pages.values():
            self.call("Target.closeTarget", {"targetId": page.target})
        self._pages.clear()

    def take_events(self, seconds: float) -> None:
        """Take in events for some time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                self._event(json.loads(self._socket.recv(timeout=left)))
            except TimeoutError:
                return

    def _event(self, event: dict[str, Any]) -> None:
        page = self._pages.get(event.get("sessionId", ""))
        if page is not None:
            page.events.append(event)

    def close(self) -> None:
        """End the browser, politely first."""
        # it may be gone before it answers
        with contextlib.suppress(ConnectionClosed, TimeoutError, RuntimeError):
            self.call("Browser.close")
        self._socket.close()
        _end(self._process)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Page:
    """One page.

    Parameters
    ----------
    browser
        Its browser.
    session, target
        DevTools session and target.
    """

    def __init__(self, browser: Browser, session: str, target: str) -> None:
        self._browser = browser
        self.session = session
        self.target = target
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a command to this page."""
        return self._browser.call(method, params, self.session)

    def run(self, expression: str) -> Any:
        """Value of a JavaScript expression (promises are awaited).

        Raises
        ------
        AssertionError
            If it throws; the message is the page's.
        """
        result = self.call(
            "Runtime.evaluate",
            {"expression": expression, "awaitPromise": True, "returnByValue": True},
        )
        if "exceptionDetails" in result:
            details = result["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            raise AssertionError(f"{expression}: {text}")
        return result["result"].get("value")

    def wait(self, expression: str, timeout_s: float = TIMEOUT_S) -> Any:
        """Wait until an expression is true; returns its value."""
        return wait_for(lambda: self.run(expression), f"page: {expression}", timeout_s)

    def linger(self, seconds: float) -> None:
        """Let the page live for some time and take in what it says."""
        self._browser.take_events(seconds)

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse at a place."""
        place = {"x": x, "y": y, "button": "left", "clickCount": 1}
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", {"type": kind, **place})

    def press(self, key: str, code: int = 0) -> None:
        """Press a key by its DOM name."""
        letter = ord(key.upper()) if len(key) == 1 else 0
        press: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code or letter}
        if len(key) == 1:
            press["text"] = key
        self.call("Input.dispatchKeyEvent", {"type": "keyDown", **press})
        self.call("Input.dispatchKeyEvent", {"type": "keyUp", **press})

    def screenshot(self, path: Path) -> None:
        """Write what is seen as PNG."""
        data = self.call("Page.captureScreenshot", {"format": "png"})["data"]
        path.write_bytes(base64.b64decode(data))

    def problems(self) -> list[str]:
        """What the page threw, logged as warning or error, or was refused."""
        found = []
        for event in self.events:
            params = event["params"]
            match event["method"]:
                case "Runtime.exceptionThrown":
                    details = params["exceptionDetails"]
                    found.append(details.get("exception", {}).get("description", details["text"]))
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                    found.append(json.dumps(params["args"]))
                case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                    if DRIVER in params["entry"]["text"]:
                        continue
                    found.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
                case "Network.loadingFailed" if not params.get("canceled"):
                    found.append(f"loading failed: {params['errorText']}")
        return found

    def hosts(self) -> set[str]:
        """Hosts, with ports, of everything that the page asked for."""
        urls = [
            params.get("request", params)["url"]
            for event in self.events
            if event["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated")
            for params in [event["params"]]
        ]
        return {split.netloc for url in urls if (split := urlsplit(url)).scheme not in ("data", "")}


def wait_for(question: Callable[[], T], what: str, timeout_s: float = TIMEOUT_S) -> T:
    """Ask until the answer is true.

    Raises
    ------
    AssertionError
        If it does not become true in time.
    """
    end = time.monotonic() + timeout_s
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not within {timeout_s:g} s, last {answer!r}")
        time.sleep(0.02)


def _debugger_url(port_file: Path, process: "subprocess.Popen[bytes]", output: Path) -> str:
    """Address of the DevTools socket, once Chromium has written it."""

    def ready() -> list[str]:
        if process.poll() is not None:
            raise RuntimeError(f"Chromium ended at once: {output.read_text('utf-8', 'replace')}")
        lines = port_file.read_text("ascii").splitlines() if port_file.exists() else []
        return lines if len(lines) == 2 else []

    port, path = wait_for(ready, "Chromium's DevTools port")
    return f"ws://127.0.0.1:{port}{path}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Wait for the browser; kill its own process group where it does not go."""
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)
