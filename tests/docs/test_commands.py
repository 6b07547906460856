"""Every command on a page works: run here, or marked as needing a cluster, or run by continuous integration.

A block "sh" is run, the blocks of a page one after the other in a folder of its own. "sh cluster" is only held
against the command's parser, "sh ci" against the Makefile: .ci/run runs it.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.main import build_parser

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*/*.md")])
FENCE = re.compile(r"^ *```([^\n`]*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
OURS = re.compile(r"^ *(lesionflow|python -m (components|pipelines)|make) ", re.MULTILINE)
KINDS = ("sh", "sh cluster", "sh ci")


def blocks(page, kind):
    text = page.read_text(encoding="utf-8")
    return [body for info, body in FENCE.findall(text) if info.strip() == kind]


def lines(page, kind):
    joined = "\n".join(blocks(page, kind)).replace("\\\n", " ")
    return [line.strip().partition(" # ")[0] for line in joined.splitlines() if line.strip()]


def pages(kind):
    return [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES if blocks(page, kind)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_with_a_command_of_ours_says_how_it_is_checked(page):
    text = page.read_text(encoding="utf-8")
    assert [body for info, body in FENCE.findall(text) if OURS.search(body) and info.strip() not in KINDS] == []
    assert not re.search(r"^    (lesionflow|python -m components|make) ", FENCE.sub("", text), re.MULTILINE)


@pytest.mark.parametrize("page", pages("sh"))
def test_the_commands_of_a_page_work(page, tmp_path):
    script = "set -euo pipefail\n" + "\n".join(blocks(page, "sh"))
    if examples := blocks(page, "python"):
        (tmp_path / "examples.py").write_text("\n".join(examples))
        script += "\npython examples.py"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "100"}
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, f"{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", pages("sh cluster"))
def test_the_commands_that_need_a_cluster_are_understood(page):
    parser = build_parser()
    ours = [line for line in lines(page, "sh cluster") if line.startswith("lesionflow ")]
    for line in ours:
        whole = re.sub(r"\[(--[^\]]*)\]", r"\1", line)  # what may be left out
        whole = whole.replace(" run ... ", " run --metadata table.csv --images folder --out results ")
        parser.parse_args(shlex.split(whole)[1:])


@pytest.mark.parametrize("page", pages("sh ci"))
def test_the_commands_left_to_continuous_integration_are_make_targets(page):
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in lines(page, "sh ci"):
        assert line.startswith("git clone") or line.startswith("cd ") or line.split()[1] in targets, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_linked_file_exists(page):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "ARCHITECTURE.md", ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_every_path_a_page_names_exists(page):
    named = set(re.findall(r"`((?:components|pipelines|tests|docs|images|manifests)/[\w./-]+)`", page.read_text()))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_test_a_page_names_exists(page):
    named = re.findall(r"`(tests/[\w./-]+\.py)::(test_\w+)`", page.read_text(encoding="utf-8"))
    assert [one for one in named if f"def {one[1]}(" not in (ROOT / one[0]).read_text(encoding="utf-8")] == []
