"""The last task says how the run ended."""

import logging

import pytest

from pipelines.cluster.exit_report import write_exit_report
from pipelines.cluster.exit_task import report_end


def test_success_points_to_the_results(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert write_exit_report("SUCCEEDED", None, tmp_path / "deep" / "end.md") == "run ended: SUCCEEDED"
    text = (tmp_path / "deep" / "end.md").read_text()
    assert text.startswith("# SUCCEEDED\n")
    assert "report" in text
    assert caplog.records[-1].levelname == "INFO"


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_failure_is_an_error_with_kubeflows_words(tmp_path, caplog, state):
    assert (
        write_exit_report(state, "Task steps\nfailed.", tmp_path / "end.md")
        == f"run ended: {state}, Task steps failed."
    )
    text = (tmp_path / "end.md").read_text()
    assert "Task steps failed." in text
    assert "lesionflow status" in text
    assert caplog.records[-1].levelname == "ERROR"


def test_the_component_calls_it(tmp_path):
    status = type("Status", (), {"state": "FAILED", "error_message": "no"})()
    output = type("Output", (), {"path": str(tmp_path / "end.md")})()
    report_end.python_func(status, output)
    assert (tmp_path / "end.md").read_text().startswith("# FAILED")
