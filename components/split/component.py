"""KFP interface of the split step."""

from kfp import dsl


@dsl.component(base_image="lesionflow.invalid/sentinel", install_kfp_package=False)
def split(
    index: dsl.Input[dsl.Dataset],
    split_data: dsl.Output[dsl.Dataset],
    metrics: dsl.Output[dsl.Metrics],
    recipe: str = "stratified",
    seed: int = 42,
):
    """Divides the images into train, val and test, whole groups at a time, and audits the division.

    Args:
        index: index artifact made by ingest.
        split_data: split.csv, split.json, class_weight.json and index.parquet with final groups.
        metrics: images per split, class weight and near-duplicates.
        recipe: reference (the published HAM10000 split), stratified, kfold:K[:FOLD] or column:NAME.
        seed: seed of stratified and kfold; reference always uses 42.
    """
    from pathlib import Path

    from components.common.runtime.session import step_session
    from components.split.config import SplitConfig
    from components.split.run import run

    with step_session("split"):
        config = SplitConfig.parse({"recipe": recipe, "seed": seed})
        result = run(config, Path(index.path), Path(split_data.path))
        for name, value in result.metrics().items():
            metrics.log_metric(name, value)
