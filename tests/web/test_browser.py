"""The page in a real browser: what is dropped, looked at, chosen and downloaded."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

import deblur
from deblur.cli import main

pytestmark = pytest.mark.browser
api = pytest.importorskip("playwright.sync_api")

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
LONG = 40_000


class Served:
    """A server in a process of its own."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
        words = [sys.executable, "-m", "deblur.web", "--no-browser"]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[-1]

    def end(self, how: int = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield started
        started.close()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.end()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """The page, of which every request and every complaint is kept."""
    context = browser.new_context(viewport={"width": 1200, "height": 800}, accept_downloads=True)
    opened = context.new_page()
    opened.asked, opened.complaints = [], []
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("console", lambda message: opened.complaints.append(message.text) if message.type == "error" else None)
    opened.goto(served.address)
    yield opened
    context.close()


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A blurred photograph, 16 bits deep."""
    sharp = data.camera()[60:260, 120:360].astype(np.uint16) * 257
    blurred = deblur.blur(sharp, "defocus:radius=2.5", noise=0.004)
    path = tmp_path / "the camera's.png"
    Image.fromarray(blurred).save(path)
    return path


def known(page: Any, picture: Path) -> None:
    """Put a photograph in, and name its blur."""
    page.set_input_files("#choose", str(picture))
    page.click("#how [data-value=defocus]")
    api.expect(page.locator("#kernel-words")).to_contain_text("out of focus", timeout=LONG)
    api.expect(page.locator("#restore")).to_be_enabled(timeout=LONG)


def shown(page: Any) -> bytes:
    return bytes(page.locator("#viewport").screenshot())


def test_the_page_is_up_within_a_second_and_asks_nobody_else(page: Any, served: Served) -> None:
    start = time.perf_counter()
    page.reload()
    api.expect(page.locator("#samples button").first).to_be_visible()
    assert time.perf_counter() - start < 1
    here = served.address.partition("/?")[0]
    assert all(url.startswith(here) for url in page.asked)
    assert page.complaints == []


def test_a_dropped_photograph_is_found_and_shown_without_a_decision(page: Any, picture: Path) -> None:
    page.set_input_files("#choose", str(picture))
    api.expect(page.locator("#stop")).to_be_visible()
    api.expect(page.locator("#tag-after")).to_be_visible(timeout=LONG)
    api.expect(page.locator("#confidence")).to_contain_text("(0.")
    api.expect(page.locator("#caption")).to_contain_text("one to one")
    assert page.complaints == []


def test_the_download_is_what_the_copied_command_gives(
    page: Any, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(page, picture)
    page.locator("#strength").fill("0.3")
    page.click("#restore")
    api.expect(page.locator("#download")).to_be_visible(timeout=LONG)
    with page.expect_download() as waiting:
        page.click("#download")
    assert waiting.value.suggested_filename == "the camera's.deblurred.png"
    page.click("#copy-command")
    api.expect(page.locator("#copied")).to_contain_text("--strength 2")
    told = page.locator("#copied").inner_text().removeprefix("Copied: ")
    monkeypatch.chdir(tmp_path)
    assert main([*shlex.split(told)[1:]]) == 0
    made = Path("the camera's.deblurred.png").read_bytes()
    assert made == Path(waiting.value.path()).read_bytes()
    with Image.open(io.BytesIO(made)) as image:
        assert image.mode == "I;16"


def test_the_curtain_zoom_and_keys(page: Any, picture: Path) -> None:
    known(page, picture)
    curtain = page.locator("#curtain")
    curtain.focus()
    page.keyboard.press("End")
    all_before = shown(page)
    page.keyboard.press("Home")
    all_after = shown(page)
    assert all_before != all_after
    page.keyboard.press("ArrowRight")
    assert curtain.get_attribute("aria-valuenow") == "2"
    page.keyboard.press("Home")
    page.locator("#viewport").focus()
    page.keyboard.down(" ")
    api.expect(page.locator("#tag-after")).to_be_hidden()
    page.keyboard.up(" ")
    api.expect(page.locator("#tag-after")).to_be_visible()
    page.locator("#viewport").hover()
    page.mouse.wheel(0, -400)
    zoomed = page.evaluate("document.querySelector('#canvas').toDataURL()")
    page.locator("#strength").fill("-0.5")
    page.wait_for_timeout(300)
    api.expect(page.locator("#progress")).to_be_hidden(timeout=LONG)
    page.keyboard.press("0")
    assert page.evaluate("document.querySelector('#canvas').toDataURL()") != zoomed
    box = page.locator("#viewport").bounding_box()
    curtain.hover()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 50)
    page.mouse.up()
    assert abs(int(curtain.get_attribute("aria-valuenow")) - 75) <= 1
    page.click("#side")
    api.expect(curtain).to_be_hidden()


def test_a_region_is_drawn_on_the_picture(page: Any, picture: Path) -> None:
    known(page, picture)
    page.click("#draw")
    box = page.locator("#viewport").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 120, middle[1] + 90, steps=4)
    page.mouse.up()
    api.expect(page.locator("#caption")).to_contain_text(
        re.compile(r": \d+ × \d+ pixels of .* one to one"), timeout=LONG
    )
    api.expect(page.locator("#progress")).to_be_hidden(timeout=LONG)
    wide = int(re.search(r": (\d+) ×", page.locator("#caption").inner_text()).group(1))  # type: ignore[union-attr]
    assert 32 <= wide < 200


def test_a_stop_stops_and_the_same_file_may_come_again(page: Any, tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (900, 1200), np.uint8)).save(path)
    page.set_input_files("#choose", str(path))
    api.expect(page.locator("#stage")).to_contain_text("finding", timeout=LONG)
    start = time.perf_counter()
    page.click("#stop")
    api.expect(page.locator("#progress")).to_be_hidden()
    assert time.perf_counter() - start < 1.5
    page.set_input_files("#choose", str(path))
    api.expect(page.locator("#queue li")).to_have_count(2)
    page.locator("#queue li").nth(1).get_by_role("button", name="Remove").click()
    api.expect(page.locator("#queue li")).to_have_count(1)


def test_a_bad_file_says_so_and_the_others_go_on(page: Any, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    page.set_input_files("#choose", [str(tmp_path / "text.jpg"), str(picture)])
    api.expect(page.locator("#kernel-words")).not_to_be_empty(timeout=LONG)
    api.expect(page.locator("#error")).to_contain_text("text.jpg is no picture that is read here")


def test_a_reload_and_a_second_tab_show_what_there_is_and_a_dead_server_is_said(
    page: Any, served: Served, picture: Path
) -> None:
    known(page, picture)
    page.reload()
    api.expect(page.locator("#kernel-words")).to_contain_text("out of focus")
    second = page.context.new_page()
    second.goto(served.address)
    api.expect(second.locator("#kernel-words")).to_contain_text("out of focus")
    second.close()
    served.process.kill()
    api.expect(page.locator("#alive")).to_contain_text("start deblur gui again", timeout=20_000)


@pytest.mark.parametrize(("width", "height", "scheme"), [(1400, 900, "light"), (390, 844, "dark"), (360, 740, "light")])
def test_it_fits_every_width_and_everything_has_a_name(
    page: Any, picture: Path, width: int, height: int, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": height})
    known(page, picture)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, a, [role=slider]')]
            .filter((e) => e.offsetParent)
            .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length))
            .map((e) => e.outerHTML)"""
    )
    assert nameless == []
