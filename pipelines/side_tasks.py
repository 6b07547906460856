"""Tasks that belong to no step: the members before the loop over them, and how the run ended."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)  # type: ignore[untyped-decorator]
def plan(members: list) -> list:  # type: ignore[type-arg] # kfp takes no list of texts
    """Lists the trainings of a run that has several.

    Args:
        members: Configuration of each training as JSON text, as the task check made them.

    Returns:
        The same list, as an output without a name, which a loop can go over wherever the pipeline runs.
    """
    import json

    from components.common.runtime.session import log, step_session

    with step_session("plan"):
        for text in members:
            log.info("member: %s", json.loads(text)["member"])
        return members


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
