"""Every command on a page works: run here, or marked as needing a cluster, or run by continuous integration.

A block "sh" is run, the blocks of a page one after the other in a folder of its own, or in README's after README's.
"sh cluster" needs a cluster, a bucket or a registry, "sh long" more time or data than a test has: those are parsed,
with their parameters, and tests/pipelines/cluster/test_docs.py runs the former against servers. "sh ci" is held against
the Makefile: .ci/run runs it.
"""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted([*(page for page in ROOT.glob("*.md") if page.name != "CHANGELOG.md"), *(ROOT / "docs").glob("*/*.md")])
AFTER_README = (README, ROOT / "docs" / "how-to" / "serving.md", ROOT / "docs" / "how-to" / "another-clinic.md")
FENCE = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
COMMANDS = {"sh", "sh cluster", "sh long", "sh ci"}
OTHERS = {"python", "yaml", "text"}
STEP = re.compile(r"python -m components\.(\w+) ([^;]*)")


def blocks(page, kind):
    text = page.read_text(encoding="utf-8")
    return [body for info, body in FENCE.findall(text) if info.strip() == kind]


def lines(page, *kinds):
    joined = "\n".join(block for kind in kinds for block in blocks(page, kind)).replace("\\\n", " ")
    return [line.strip().partition(" # ")[0] for line in joined.splitlines() if line.strip()]


def pages(*kinds):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if lines(page, *kinds)]


def run_commands(page, folder):
    """Runs the commands and the Python examples of a page."""
    script = "set -euo pipefail\n" + "\n".join(blocks(page, "sh"))
    if examples := blocks(page, "python"):
        (folder / "examples.py").write_text("\n".join(examples))
        script += "\npython examples.py"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


@pytest.fixture(scope="module")
def after_readme(tmp_path_factory):
    """The folder in which README's commands have run."""
    folder = tmp_path_factory.mktemp("readme")
    run_commands(README, folder)
    return folder


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_says_what_it_is_and_commands_how_they_are_checked(page):
    text = page.read_text(encoding="utf-8")
    assert {info.strip() for info, _ in FENCE.findall(text)} <= COMMANDS | OTHERS
    # neither a block by indentation, nor a command among what is shown
    assert re.findall(r"(?<=\n\n)    [^ \n*|-].*", FENCE.sub("", text)) == []
    shown = "\n".join(body for kind in OTHERS for body in blocks(page, kind))
    assert re.findall(r"^ *(?:lesionflow|python|make|kubectl|gcloud|pip) .*", shown, re.MULTILINE) == []


@pytest.mark.parametrize("page", pages("sh"))
def test_the_commands_of_a_page_work(page, tmp_path, request):
    folder = request.getfixturevalue("after_readme") if page in AFTER_README else tmp_path
    if page != README:
        run_commands(page, folder)


@pytest.mark.parametrize("page", pages("sh cluster", "sh long"))
def test_the_commands_that_are_not_run_are_understood(page, monkeypatch):
    parser = build_parser()
    for line in lines(page, "sh cluster", "sh long"):
        if line.startswith("lesionflow "):
            whole = re.sub(r"\[(--[^\]]*)\]", r"\1", line)  # what may be left out
            whole = whole.replace(" run ... ", " run --metadata table.csv --images folder --out results ")
            parser.parse_args(shlex.split(whole)[1:])
        for step, arguments in STEP.findall(line):
            module, ran = importlib.import_module(f"components.{step}.__main__"), []
            monkeypatch.setattr(module, "_body", lambda *given, ran=ran: ran.append(given))
            assert module.main(shlex.split(arguments.replace("$k", "0"))) == 0
            assert len(ran) == 1


@pytest.mark.parametrize("page", pages("sh ci"))
def test_the_commands_left_to_continuous_integration_are_make_targets(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in lines(page, "sh ci"):
        assert line.startswith("git clone") or line.startswith("cd ") or line.split()[1] in targets, line


def anchors(page):
    """What a link can point to within a page, as GitHub makes it of each heading."""
    headings = re.findall(r"^#+ (.*)", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for link, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_and_test_that_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:components|pipelines|tests|docs|images|manifests)/[\w./-]+)(?:::(test_\w+))?`", text))
    missing = [path for path, _ in named if not (ROOT / path).exists()]
    assert missing == []
    assert [test for path, test in named if test and f"def {test}(" not in (ROOT / path).read_text("utf-8")] == []
