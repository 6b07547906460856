"""A few thousand damaged documents; `python tests/fuzz_documents.py RUN` reads a hundred thousand."""

import importlib.util
from pathlib import Path

_SPEC = importlib.util.spec_from_file_location(
    "fuzz_documents", Path(__file__).resolve().parents[1] / "fuzz_documents.py"
)
fuzz_documents = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(fuzz_documents)


def test_every_damaged_document_is_read_or_refused_in_one_line_and_little_memory(finished, tmp_path):
    fuzz = fuzz_documents.Fuzz(finished.out, tmp_path, seed=1)
    assert set(fuzz.kinds) == set(fuzz_documents.KINDS) - {"openings.json"} | set(fuzz.kinds) & {"openings.json"}
    fuzz.run(3000)
    assert [(name, what) for name, what, _ in fuzz.failures] == []
    assert sum(fuzz.refused.values()) > 2000
    assert fuzz.memory < fuzz_documents.MOST_MEMORY
