"""Monitor and its alarm as KFP components.

Two tasks, because Kubeflow drops the outputs of a failed task: the page belongs to one that succeeded.
"""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def monitor(
    config: dict, findings: dsl.Output[dsl.Artifact], page: dsl.Output[dsl.HTML], metrics: dsl.Output[dsl.Metrics]
):
    """Watch the logged predictions of a bundle in use, and labels that came later.

    Args:
        config: Parameters of the step, with the URIs of what it reads, as the task check made them.

    Returns:
        findings: monitor.json and monitor.html.
        page: The HTML page.
        metrics: How many alarms, predictions and labels there are.
    """
    from pathlib import Path

    from components.common.artifacts.noted import note_digest
    from components.common.runtime.session import step_session
    from components.monitor.config import MonitorSources
    from components.monitor.publish import publish
    from components.monitor.run import run

    with step_session("monitor"):
        asked = MonitorSources.parse(config)
        out = Path(findings.path)
        result = run(asked, asked.bundle, asked.predictions, out, labels=asked.labels, reference=asked.reference)
        note_digest(findings)
        publish(result, page, metrics)


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def alarm(findings: dsl.Input[dsl.Artifact]):
    """Fail the run when a change was found, with one line that says which.

    Args:
        findings: Monitor artifact.
    """
    from components.common.artifacts.noted import noted_path
    from components.common.runtime.session import step_session
    from components.monitor.alarm import raise_alarm

    with step_session("alarm"):
        raise_alarm(noted_path(findings), "the page of the task monitor")
