"""The task before the loop over members: it hands the list of their configurations to the loop."""

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
