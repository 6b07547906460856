"""The report as a person meets it: in Chromium, on a phone, and in the frame Kubeflow shows it in."""

import base64
import html
import importlib.util
import shutil
from pathlib import Path

import pytest

from components.evaluate.__main__ import main
from components.evaluate.config import EvaluateConfig
from components.evaluate.run import run

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on PATH (apt-get install chromium)")

WIDER_THAN_SCREEN = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre')
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""
HIDDEN_BEHIND_SCROLLING = """[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => e.innerText.slice(0, 60))"""
SMALL_TEXT = """[...document.querySelectorAll('td, p, li, figcaption, i, .ci')].filter(e => e.innerText
    && parseFloat(getComputedStyle(e).fontSize) < 9.5).map(e => e.innerText.slice(0, 40))"""
BROKEN_IMAGES = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
EMPTY_FIGURES = """[...document.querySelectorAll('figure > svg')].filter(s => { const b = s.getBBox();
    return b.width < 100 || b.height < 100 }).length"""


@pytest.fixture(scope="module")
def report(shipped, tmp_path_factory):
    """A report with everything in it: gate, champion, thumbnails, prediction sets, training curves."""
    root = tmp_path_factory.mktemp("browser")
    first = root / "evaluation"
    config = EvaluateConfig.parse({"resamples": 200, "cases": 8})
    run(config, shipped.bundle, shipped.split, shipped.model, shipped.records, first)
    files = ["--probs", first / "test_probs.npz", "--val-probs", first / "val_probs.npz"]
    files += ["--policy", first / "decision_policy.json", "--champion", first / "test_probs.npz"]
    gate = ["--gate", "ap.lower >= 0.1", "champion.auc_difference.lower >= 0.5"]
    assert main([str(a) for a in ("report", *files, *gate, "--out", root / "report")]) == 0
    return root / "report" / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("chromium", Path(__file__).with_name("chromium.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    running = module.Chromium(BINARY, tmp_path_factory.mktemp("profile"))
    yield running
    running.close()


def complaints(browser):
    return [e for e in browser.events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_nothing_is_cut_off_or_too_small_on_a_phone_a_tablet_and_a_desk(browser, report, width):
    browser.open(f"file://{report}", width)
    assert browser.evaluate(WIDER_THAN_SCREEN) == []
    assert browser.evaluate(HIDDEN_BEHIND_SCROLLING) == []
    assert browser.evaluate(SMALL_TEXT) == []
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    assert browser.evaluate(BROKEN_IMAGES) == browser.evaluate(EMPTY_FIGURES) == 0
    assert browser.evaluate("document.images.length") > 8
    assert complaints(browser) == []


def test_the_report_works_in_the_sandboxed_frame_of_the_kubeflow_ui(browser, report, tmp_path):
    text = report.read_text()
    frame = f'<iframe sandbox="allow-scripts" width="1100" height="880" srcdoc="{html.escape(text)}"></iframe>'
    (tmp_path / "host.html").write_text(f"<!doctype html><title>host</title>{frame}")
    browser.open(f"file://{tmp_path / 'host.html'}", 1200)
    attached = browser.wait(
        lambda e: e.get("method") == "Target.attachedToTarget" and e["params"]["targetInfo"]["type"] == "iframe"
    )
    session = attached["params"]["sessionId"]
    loaded = "new Promise(r => document.readyState == 'complete' ? r(1) : addEventListener('load', () => r(1)))"
    browser.evaluate(loaded, session)
    assert browser.evaluate("[location.href, self.origin, window.innerWidth]", session) == [
        "about:srcdoc",
        "null",
        1100,
    ]
    assert browser.evaluate(BROKEN_IMAGES, session) == browser.evaluate(EMPTY_FIGURES, session) == 0
    assert browser.evaluate("document.querySelectorAll('figure > svg').length", session) >= 9
    # a link to #place would load the host page into the frame: its address is the host's, not about:srcdoc
    assert browser.evaluate("document.links.length", session) == 0
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints(browser) == []


def test_it_prints_on_a_few_pages(browser, report):
    browser.open(f"file://{report}", 1280)
    pdf = base64.b64decode(browser.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 4 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 14
