"""Split and its feasibility check as KFP components.

Two tasks, because the check reads parameters of later steps: a change of one repeats the check, not the split.
"""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def split(
    index: dsl.Input[dsl.Dataset],
    config: dict,
    split_data: dsl.Output[dsl.Dataset],
    near_duplicates: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
):
    """Divides the images into train, val and test, whole groups at a time, and audits the division.

    Args:
        index: Index artifact of ingest.
        config: Parameters of the step, as the task check made them.

    Returns:
        split_data: split.csv, split.json, class_weight.json and index.parquet with final groups.
        near_duplicates: Pairs of images that show the same lesion or picture, side by side for review, as HTML.
        metrics: Images per split, class weight and near-duplicates.
    """
    import shutil
    from pathlib import Path

    from components.common.artifacts.noted import note_digest, noted_path
    from components.common.runtime.session import step_session
    from components.split.config import SplitConfig
    from components.split.run import run

    with step_session("split"):
        result = run(SplitConfig.parse(config), noted_path(index), Path(split_data.path))
        note_digest(split_data)
        Path(near_duplicates.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(result.path / "near_duplicates.html", near_duplicates.path)
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def feasibility(split_data: dsl.Input[dsl.Dataset], config: dict):
    """Stops the run where a later step would stop it, before anything is trained.

    Args:
        split_data: Split artifact.
        config: What later steps need of its groups, as the task check made it.
    """
    from components.common.artifacts.noted import noted_path
    from components.common.runtime.session import step_session
    from components.common.statistics.feasibility import Demands
    from components.split.feasible import refuse_infeasible

    with step_session("feasibility"):
        champion = config.pop("champion")
        refuse_infeasible(noted_path(split_data), Demands.of(config), champion)
