"""The base map in a real Chromium: there, not there, and what lies above it."""

from tests.console.browser import Page, wait_for
from tests.console.pages import cells, middle, opened, text

COLOURS = """(async () => {
  const bytes = Uint8Array.from(atob('%s'), (c) => c.charCodeAt(0));
  const image = await createImageBitmap(new Blob([bytes], {type: 'image/png'}));
  const pen = new OffscreenCanvas(image.width, image.height).getContext('2d');
  pen.drawImage(image, 0, 0);
  const {data} = pen.getImageData(0, 0, image.width, image.height);
  const style = getComputedStyle(document.documentElement);
  return ['land', 'chart'].map((name) => {
    const hex = style.getPropertyValue('--' + name).trim();
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    let count = 0;
    for (let i = 0; i < data.length; i += 4) {
      count += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) <= 3;
    }
    return count / (image.width * image.height);
  });
})()"""


def parts_of_the_chart(page: Page) -> tuple[float, float]:
    """How much of the chart shows the colour of land, and of water."""
    box = page.run(
        "(() => { const b = document.querySelector('.chart').getBoundingClientRect();"
        " return {x: b.x, y: b.y, width: b.width, height: b.height, scale: 0.5}; })()"
    )
    shot = page.call("Page.captureScreenshot", {"format": "png", "clip": box})["data"]
    land, water = page.run(COLOURS % shot)
    return land, water


def test_the_base_map_shows_land_and_water_by_night_and_by_day(base_map, browser, server):
    page = opened(browser, server)
    page.wait("document.querySelector('#base').dataset.state === 'drawn'")
    assert "orientation only" in text(page, "#base-note")
    for light in ("night", "day"):
        assert page.run("document.documentElement.dataset.light") == light

        def both() -> bool:
            land, water = parts_of_the_chart(page)
            return land > 0.05 and water > 0.3  # the south shore of a lake, all else water

        wait_for(both, f"land and water by {light}")
        page.press("d")
    page.press("+")  # MapLibre's camera takes part in every move
    page.wait("document.querySelector('#base').dataset.state === 'drawn'")
    assert page.problems() == []
    assert page.hosts() == {server.url.removeprefix("http://")}
    page.run("localStorage.clear()")


def test_without_a_base_map_the_plain_chart_says_so_in_a_line(browser, server):
    page = opened(browser, server)
    page.wait("document.querySelector('#base-note').textContent.includes('make setup')")
    land, water = parts_of_the_chart(page)
    assert land < 0.001
    assert water > 0.3
    page.run("document.querySelector('#table-body tr[data-id]').cells[0].click()")
    page.press("c")
    page.linger(0.1)
    page.press("Escape", 27)
    page.click(*middle(page))
    assert text(page, "#details p").startswith(cells(page, 0)[0])
    assert page.problems() == []
    assert page.hosts() == {server.url.removeprefix("http://")}
