"""The last task of a pipeline whose cluster has a Model Registry: it comes after the gate has passed.

Here and not among the steps: it reads what two steps made, and most clusters have no registry.
"""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)  # type: ignore[untyped-decorator]
def register(
    bundle: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    config: dict,  # type: ignore[type-arg] # KFP reads the plain name
    card: dsl.Output[dsl.Markdown],
    server: str,
    name: str = "lesionflow",
    models: str = "",
) -> None:
    """Registers the evaluated bundle in Kubeflow's Model Registry.

    Args:
        bundle: Bundle artifact of the export step; its URI is registered.
        evaluation: Evaluation of this bundle.
        config: Parameters of the step evaluate, as the task check made them: the release conditions.
        server: Address of the registry.
        name: Name of the registered model.
        models: Folder or URI where the model is staged for model servers; empty is nowhere.

    Returns:
        card: The model card with the test metrics.
    """
    from pathlib import Path

    from components.common.artifacts.noted import noted_path
    from components.common.runtime.session import step_session
    from components.evaluate.config import EvaluateConfig
    from components.evaluate.proof import enforce
    from pipelines.registry.publishing import Given, publish

    with step_session("register"):
        made, judged = Given(noted_path(bundle), bundle.uri), Given(noted_path(evaluation), evaluation.uri)
        enforce(judged.path, EvaluateConfig.parse(config))
        publish(server, name, models, made, judged, Given(Path(card.path), card.uri))
