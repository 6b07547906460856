"""The report as a person meets it: in Chromium, on a phone, and in the frame Kubeflow shows it in."""

import base64
import html
import importlib.resources
import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from components.evaluate.__main__ import main
from components.evaluate.config import EvaluateConfig
from components.evaluate.publish import kfp_page
from components.evaluate.run import run

BINARY = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BINARY is None, reason="no Chromium on PATH (apt-get install chromium)")

WIDER_THAN_SCREEN = """[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll, pre')
    && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""
HIDDEN_BEHIND_SCROLLING = """[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth + 1)
    .map(e => e.innerText.slice(0, 60))"""
SMALL_TEXT = """[...document.querySelectorAll('td, p, li, figcaption, i, .ci')].filter(e => e.innerText
    && parseFloat(getComputedStyle(e).fontSize) < 9.5).map(e => e.innerText.slice(0, 40))"""
# what a check of WCAG 2.1 A and AA and of good practice finds: rule and the first place
VIOLATIONS = """axe.run().then(found => JSON.stringify(found.violations.map(one => [one.id, one.nodes[0].html])))"""
UNFOLDED = "[...document.querySelectorAll('details')].forEach(one => one.open = true)"
FOCUSED = "[document.activeElement.tagName, document.activeElement.textContent.trim().slice(0, 30)]"
BROKEN_IMAGES = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
EMPTY_FIGURES = """[...document.querySelectorAll('figure > svg')].filter(s => { const b = s.getBBox();
    return b.width < 100 || b.height < 100 }).length"""


@pytest.fixture(scope="module")
def report(shipped, tmp_path_factory):
    """A report with everything in it: gate, champion, thumbnails, prediction sets, training curves."""
    root = tmp_path_factory.mktemp("browser")
    first = root / "evaluation"
    config = EvaluateConfig.parse({"resamples": 200, "cases": 8, "ledger": str(root / "ledger")})
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
    text = kfp_page(report.read_text())
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
    # a link to #place would load the host page into the frame: its base is the host's, its address about:srcdoc
    assert browser.evaluate("document.links.length", session) > 15
    browser.evaluate("[...document.links].find(one => one.hash == '#slices').click()", session)
    place = "[location.href, Math.round(document.getElementById('slices').getBoundingClientRect().top) < 40]"
    assert browser.evaluate(place, session) == ["about:srcdoc#slices", True]
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints(browser) == []


@pytest.mark.parametrize("width", [390, 1440])
def test_a_check_of_accessibility_finds_nothing(browser, report, width):
    """Landmarks, headings in order, alternative texts, scopes of tables, contrast, names of what can be chosen."""
    browser.open(f"file://{report}", width)
    browser.evaluate(importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text() + "; 1")
    browser.evaluate(UNFOLDED)
    assert json.loads(browser.evaluate(VIOLATIONS)) == []


def test_the_check_of_accessibility_would_find_something(browser, report, tmp_path):
    (tmp_path / "bad.html").write_text(report.read_text().replace(' lang="en"', "").replace(" alt=", " data-alt="))
    browser.open(f"file://{tmp_path / 'bad.html'}", 1440)
    browser.evaluate(importlib.resources.files("axe_core_python").joinpath("axe.min.js").read_text() + "; 1")
    assert {rule for rule, _ in json.loads(browser.evaluate(VIOLATIONS))} >= {"html-has-lang", "image-alt"}


def press(browser, key):
    code = {"Tab": 9, "Enter": 13}[key]
    text = {"text": "\r"} if key == "Enter" else {}
    browser.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
    browser.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)


def test_a_keyboard_reaches_the_content_the_contents_and_a_picture(browser, report):
    browser.open(f"file://{report}", 1440)
    press(browser, "Tab")
    assert browser.evaluate(FOCUSED) == ["A", "Skip to the content"]
    assert browser.evaluate("document.activeElement.getBoundingClientRect().top >= 0")  # hidden until it has the focus
    assert browser.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    press(browser, "Enter")
    assert browser.evaluate("document.activeElement.id") == "content"
    press(browser, "Tab")
    assert browser.evaluate("document.activeElement.closest('.trust') != null")
    picture = "document.querySelector('.cases summary')"
    browser.evaluate(f"{picture}.focus()")
    small = browser.evaluate(f"{picture}.querySelector('img').clientWidth")
    press(browser, "Enter")
    shown = f"[{picture}.querySelector('img').clientWidth, {picture}.querySelector('img').naturalWidth]"
    now, natural = browser.evaluate(shown)
    assert now == natural != small
    press(browser, "Enter")
    assert browser.evaluate(f"{picture}.querySelector('img').clientWidth") == small


def test_the_contents_name_every_section_and_stay_in_sight_on_a_wide_screen(browser, report):
    browser.open(f"file://{report}", 1440)
    names = browser.evaluate("[...document.querySelectorAll('.contents a')].map(one => one.hash.slice(1))")
    assert browser.evaluate("[...document.querySelectorAll('h2[id], h3[id]')].map(one => one.id)") == names
    for place in ("end", "start"):
        browser.evaluate(f"document.getElementById('checklist').scrollIntoView({{block: '{place}'}})")
        top = browser.evaluate("document.querySelector('.contents a').getBoundingClientRect().top")
        assert 0 <= top < 100


def test_nothing_is_cut_off_in_print_and_what_is_folded_is_printed(browser, report):
    browser.open(f"file://{report}", 690)  # A4 less its margins
    browser.send("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.evaluate(WIDER_THAN_SCREEN) == []
        assert browser.evaluate(HIDDEN_BEHIND_SCROLLING) == []
        assert browser.evaluate("document.querySelector('.openings td').getBoundingClientRect().height") > 5
    finally:
        browser.send("Emulation.setEmulatedMedia", media="")


def test_it_prints_on_a_few_pages(browser, report):
    browser.open(f"file://{report}", 1280)
    pdf = base64.b64decode(browser.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 4 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") <= 16
