"""What tests of the page read off it and do with it."""

import json
from typing import Any

from console.server import ServerThread
from tests.console.browser import Browser, Page


def opened(browser: Browser, server: ServerThread) -> Page:
    page = browser.open(f"{server.url}/")
    page.wait("document.querySelectorAll('#table-body tr[data-id]').length > 10")
    return page


def text(page: Page, selector: str) -> str:
    return str(page.run(f"document.querySelector({json.dumps(selector)}).textContent"))


def cells(page: Page, column: int) -> list[str]:
    rows = "[...document.querySelectorAll('#table-body tr[data-id]')]"
    return list(page.run(f"{rows}.map((row) => row.cells[{column}].textContent)"))


def middle(page: Page) -> list[float]:
    return list(
        page.run(
            "(() => { const b = document.querySelector('#map').getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
    )


def evaluate(page: Page, module: str, body: str) -> Any:
    """Run code with the exports of one of the page's modules as `m`."""
    return page.run(f"import('/static/{module}').then((m) => {{ {body} }})")
