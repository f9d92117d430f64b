# SPDX-License-Identifier: Apache-2.0
"""The web page in headless Chromium; skipped without one.  HRNET_SCREENSHOTS may name a folder."""
import os
import pathlib
import re
import threading

import pytest

from browser import CHROMIUM, Browser
from server import PICTURES

FILES = ("/", "/status", "/page.css", "/classify.js", "/status.js")


def test_nothing_comes_from_elsewhere(server):
    for path in FILES:
        answer = server.get(path)
        assert answer.status == 200
        assert not re.search(rb"(src|href|url\(|import|fetch\()\s*[=(\"']*https?:", answer.body), path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if not CHROMIUM:
        pytest.skip("no chromium")
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


def shot(browser, name):
    folder = os.environ.get("HRNET_SCREENSHOTS")
    if folder:
        for dark in (False, True):
            browser.dark(dark)
            browser.screenshot(pathlib.Path(folder) / f"{name}_{'dark' if dark else 'light'}.png")


def test_classify(browser, server, tmp_path):
    browser.go(server.url + "/")
    browser.wait("document.querySelector('#model').options.length === 1")
    browser.choose("#file", PICTURES / "cat_420.jpg", PICTURES / "coffee.png")
    browser.wait("document.querySelector('#message').textContent === 'Done.'")
    assert browser.run("document.querySelectorAll('.bars li').length") == 10
    assert browser.run("[...document.querySelectorAll('.bars li i')]"
                       ".every(bar => /%$/.test(bar.style.width))")
    assert "ms in all: decode" in browser.run("document.querySelector('.times').textContent")
    browser.run("document.querySelector('#explain').click()")
    browser.choose("#file", PICTURES / "coffee.png")
    browser.wait("document.querySelectorAll('img.map').length === 1")
    assert browser.run("document.querySelector('img.map').decode().then(() => true)")
    shot(browser, "classify")
    assert browser.complaints() == []
    (tmp_path / "no.jpg").write_text("no picture")
    browser.choose("#file", tmp_path / "no.jpg")
    browser.wait("/1 of 1 failed/.test(document.querySelector('#message').textContent)")
    assert "not a picture" in browser.run("document.querySelector('.times.bad').textContent")
    assert browser.hosts() == {f"127.0.0.1:{server.port}"}


def test_paste_and_keyboard(browser, server):
    browser.go(server.url + "/")
    browser.wait("document.querySelector('#model').options.length === 1")
    seen = []
    for _ in range(8):
        browser.key("Tab")
        seen.append(browser.run("document.activeElement.id || document.activeElement.textContent"))
    assert ["Classify", "Status", "API", "file", "model", "k", "explain"] == seen[:7], seen
    browser.run("""(async () => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 300, height: 240 });
        canvas.getContext("2d").fillRect(20, 20, 90, 90);
        const blob = await new Promise(done => canvas.toBlob(done, "image/png"));
        const data = new DataTransfer();
        data.items.add(new File([blob], "pasted.png", { type: "image/png" }));
        document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data }));
    })()""")
    browser.wait("document.querySelector('#message').textContent === 'Done.'")
    assert "300 × 240 PNG" in browser.run("document.querySelector('figcaption').textContent")


def test_status(browser, server, cat):
    browser.events.clear()
    browser.go(server.url + "/status")
    stop = threading.Event()

    def load():
        while not stop.is_set():
            server.post("/v1/classify", cat)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        browser.wait("Number(document.querySelector('#answers output').textContent) > 0")
        browser.wait("Number(document.querySelector('#median output').textContent) > 0")
        browser.wait("document.querySelectorAll('#answers svg polyline').length === 2")
        shot(browser, "status")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert browser.run("document.querySelector('#models td').textContent") == "small"
    assert browser.complaints() == []
