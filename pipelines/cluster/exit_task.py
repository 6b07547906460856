"""The exit task: it runs when the steps have ended, whatever ended them, and says so."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)  # type: ignore[untyped-decorator]
def report_end(
    status: dsl.PipelineTaskFinalStatus,
    ending: dsl.Output[dsl.Markdown],
    summary: dsl.OutputPath(str),  # type: ignore[valid-type]
) -> None:
    """Reports how the run ended, and why if it failed.

    Args:
        status: How the steps ended, from Kubeflow itself.

    Returns:
        ending: How the run ended, and where to look next.
        summary: The same in one line, as text.
    """
    from pathlib import Path

    from pipelines.cluster.exit_report import write_exit_report

    write_exit_report(status.state, status.error_message, Path(ending.path), Path(summary))
