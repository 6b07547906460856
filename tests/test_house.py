"""The rules of the house: a contract in one place, a module in its room, nothing done while modules are imported."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = sorted(path for top in ("components", "pipelines") for path in (ROOT / top).rglob("*.py"))
SCHEMA = re.compile(r"^lesionflow\.[a-z_-]+/\d+$")
VARIABLE = re.compile(r"^LESIONFLOW_[A-Z_]+$")


def literals(pattern):
    """Where each string constant that matches stands, as `path:line`."""
    found = defaultdict(list)
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.match(node.value):
                found[node.value].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return found


@pytest.mark.parametrize("pattern", [SCHEMA, VARIABLE], ids=["schema names", "environment variables"])
def test_a_contract_stands_in_one_place(pattern):
    found = literals(pattern)
    assert found
    assert {name: places for name, places in found.items() if len(places) > 1} == {}


def test_common_is_six_rooms_with_nothing_loose_beside_them():
    inside = {path.name for path in (ROOT / "components" / "common").iterdir() if path.name != "__pycache__"}
    assert inside == {"__init__.py", "artifacts", "bundle", "imaging", "statistics", "storage", "runtime"}


def test_every_step_has_its_four_fixed_files():
    steps = {path.parent for path in PRODUCT if path.name == "component.py"}
    assert len(steps) >= 7
    for step in steps:
        assert {"run.py", "config.py", "component.py", "__main__.py"} <= {path.name for path in step.iterdir()}, step


def test_files_and_functions_stay_short_enough_to_be_read_at_once():
    """At most 400 lines per file and 60 per function, docstring included; ruff has no rule that counts either."""
    long = []
    for path in PRODUCT:
        text = path.read_text(encoding="utf-8")
        if (lines := len(text.splitlines())) > 400:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > 60:
                    long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines} lines")
    assert long == []


def test_an_error_keeps_its_cause_or_says_why_not():
    hidden = []
    for path in PRODUCT:
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(ast.parse("\n".join(lines))):
            silent = isinstance(node, ast.Raise) and isinstance(node.cause, ast.Constant) and node.cause.value is None
            if silent and "from None  # " not in lines[node.end_lineno - 1]:
                hidden.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert hidden == []


LOOK = """
import importlib, sys, sysconfig
root, stdlib = sys.argv[1], sysconfig.get_path("stdlib")
found = []

def caller():
    frame = sys._getframe(2)
    while frame:
        name = frame.f_code.co_filename
        if not name.startswith("<") and (not name.startswith(stdlib) or "site-packages" in name):
            return name if name.startswith(root) and "site-packages" not in name else ""
        frame = frame.f_back
    return ""

def hook(event, args):
    what = str(args[0]) if args else ""
    reads = event == "open" and (what.startswith(("/sys/fs/cgroup", "/proc/")) or what.endswith((".yaml", ".json")))
    if (reads or event in ("subprocess.Popen", "os.system", "_thread.start_new_thread")) and caller():
        found.append((event, what, caller()))

sys.addaudithook(hook)
for name in sys.argv[2:]:
    importlib.import_module(name)
for one in found:
    print(*one)
"""


def test_nothing_is_done_while_modules_are_imported():
    """No process or thread is started; no control group, cluster file or preset is read."""
    parts = [path.relative_to(ROOT).with_suffix("").parts for path in PRODUCT if path.name != "__main__.py"]
    names = [".".join(part).removesuffix(".__init__") for part in parts]
    command = [sys.executable, "-c", LOOK, f"{ROOT}/", *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == ""


def names_in(path):
    """What a module has at its top level, and its submodules."""
    found = {one.stem for one in path.parent.iterdir()} if path.name == "__init__.py" else set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {one.asname or one.name for one in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
    return found


def test_what_a_function_imports_when_it_runs_is_there():
    """The bodies of KFP components run in pods only, and their imports are seen by no type checker."""
    missing = []
    for path in PRODUCT:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not (node.module or "").startswith(("components", "pipelines")):
                continue
            module = ROOT.joinpath(*node.module.split("."))
            file = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
            wanted = {one.name for one in node.names}
            if not file.is_file() or wanted - names_in(file):
                missing.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.module} {sorted(wanted)}")
    assert missing == []
