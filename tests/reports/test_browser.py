"""The pages in a real browser. Skipped only where there is none."""

from __future__ import annotations

import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import threading

import pytest

from midmix.reports import write_report

_KNOWN = ("chromium", "chromium-browser", "google-chrome", "chrome")
BROWSER = next(filter(None, map(shutil.which, _KNOWN)), "")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no chromium in the path")

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)
PHONE, DESK = 390, 1280
NAMES = [
    "<script>document.title='run'</script>",
    "<img src=x onerror=alert(1)>",
    *(f"class {i:03d}" for i in range(184)),
]

# The page in a frame as wide as a phone: headless windows have a least width, frames have none. Same origin, so the
# frame can be measured from outside, without a script in the page, which its own policy would forbid.
FRAME = """<!doctype html><title>waiting</title><iframe id="f" style="width: {width}px; height: 3000px; border: 0"
src="report.html"></iframe><pre id="out"></pre><script>
document.getElementById("f").onload = function () {{
  const inside = this.contentDocument, root = inside.documentElement;
  const beyond = [...inside.querySelectorAll("body *")].filter(e => !e.closest(".scroll, svg, pre")
    && e.getBoundingClientRect().right > {width} + 1);
  document.getElementById("out").textContent = JSON.stringify({{
    scroll: root.scrollWidth, beyond: beyond.map(e => e.outerHTML.slice(0, 120)), title: inside.title,
    shown: inside.body.textContent.includes("<script>document.title"), svgs: inside.querySelectorAll("svg").length,
    flat: [...inside.querySelectorAll(".panel svg")].filter(e => e.getBoundingClientRect().height < 100).length,
    ink: getComputedStyle(root).color, page: getComputedStyle(root).backgroundColor,
    text: getComputedStyle(inside.querySelector("svg text")).fill,
    resources: this.contentWindow.performance.getEntriesByType("resource").map(e => e.name) }});
}};
</script>"""


class _Server(http.server.ThreadingHTTPServer):
    """Serves one folder and remembers what was asked for."""

    def __init__(self, folder):
        self.asked = []
        super().__init__(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))


class _Handler(http.server.SimpleHTTPRequestHandler):
    server: _Server

    def log_request(self, code="-", size="-"):
        self.server.asked.append(self.path)

    def log_message(self, format, *args):
        pass


@pytest.fixture(scope="module")
def measure(make_comparison, tmp_path_factory):
    """Render the report of 186 classes in a frame of some width, and say what is seen."""
    folder = tmp_path_factory.mktemp("browser")
    lines = (
        ("erm", "cross_entropy"),
        ("balanced-am-mixup:clean=1,beta=0.5", "balanced_softmax"),
        ("m" * 60, "ldam"),
    )
    page = write_report(make_comparison(folder, names=NAMES, lines=lines, seeds=2, rows=3 * len(NAMES)))
    page.write_text(page.read_text().replace("<details>", "<details open>"))  # what is folded is measured too
    server = _Server(folder)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    @functools.cache
    def look(width, *, dark=False):
        (folder / "frame.html").write_text(FRAME.format(width=width))
        server.asked.clear()
        profile = tmp_path_factory.mktemp("profile")
        scheme = ["--blink-settings=preferredColorScheme=0"] if dark else []
        command = [BROWSER, *QUIET, *scheme, f"--user-data-dir={profile}", "--window-size=1600,3000"]
        address = f"http://127.0.0.1:{server.server_port}/frame.html"
        # the clock of the page stands still while it loads, so this waits for the page, not for a guess
        done = subprocess.run(
            [*command, "--virtual-time-budget=5000", "--dump-dom", address],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
        written = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
        assert written, done.stderr[-2000:]
        assert written.group(1), "the page did not load"
        return json.loads(html.unescape(written.group(1))), [p for p in server.asked if p != "/favicon.ico"]

    yield look
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_phone_shows_the_page_without_sideways_scrolling(measure):
    seen, _ = measure(PHONE)
    assert seen["beyond"] == []
    assert seen["scroll"] <= PHONE


def test_a_desk_shows_figures_and_names_and_runs_nothing(measure):
    seen, asked = measure(DESK)
    assert seen["scroll"] <= DESK
    assert seen["svgs"] > 10
    assert seen["flat"] == 0
    assert seen["shown"], "a class name is not shown as it is"
    assert seen["title"] == "digits · midmix"
    assert seen["resources"] == []
    assert sorted(asked) == ["/frame.html", "/report.html"]


def test_figures_follow_a_dark_page(measure):
    light, dark = measure(DESK)[0], measure(DESK, dark=True)[0]
    assert _brightness(light["page"]) > 200
    assert _brightness(dark["page"]) < 60
    for part in ("ink", "text"):
        assert _brightness(light[part]) < 140 < _brightness(dark[part])


def _brightness(colour):
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 3
