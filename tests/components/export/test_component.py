"""The KFP interface, called as KFP calls it."""

import math

from kfp import dsl

from components.common.artifacts.folder import open_artifact
from components.common.bundle.preprocessing import read_preprocessing
from components.export.component import export


def test_component_makes_a_bundle_and_logs_finite_numbers(export_inputs, tmp_path):
    def artifact(kind, path):
        return kind(uri=str(path))

    bundle, metrics = dsl.Model(uri=str(tmp_path / "bundle")), dsl.Metrics(uri=str(tmp_path / "metrics"))
    export.python_func(
        model=artifact(dsl.Model, export_inputs.model),
        policy=artifact(dsl.Artifact, export_inputs.policy),
        split_data=artifact(dsl.Dataset, export_inputs.split),
        bundle=bundle,
        metrics=metrics,
        config={"formats": ["onnx"], "augmentation": "flips", "parity_images": 500.0},
    )
    assert (tmp_path / "bundle" / "model.onnx").is_file()
    assert read_preprocessing(tmp_path / "bundle").augmentation == "flips"
    assert open_artifact(tmp_path / "bundle", "bundle").kind == "bundle"
    assert metrics.metadata["parity_max_probability_difference"] <= 1e-5
    assert all(type(value) is float and math.isfinite(value) for value in metrics.metadata.values())
