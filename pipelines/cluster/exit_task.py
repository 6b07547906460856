"""The exit task: it runs when the steps have ended, whatever ended them, and says so."""

from kfp import dsl

EXIT_TASK = "report-end"


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)  # type: ignore[untyped-decorator]
def report_end(status: dsl.PipelineTaskFinalStatus, ending: dsl.Output[dsl.Markdown]) -> None:
    """Reports how the run ended.

    Args:
        status: How the steps ended, from Kubeflow itself.

    Returns:
        ending: How the run ended, and where to look next.
    """
    from pathlib import Path

    from pipelines.cluster.exit_report import write_exit_report

    write_exit_report(status.state, status.error_message, Path(ending.path))
