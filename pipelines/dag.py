"""The DAG: which step reads what. Where each step runs is `pipelines.placement`'s business."""

import inspect

from kfp import dsl

from components.calibrate.component import calibrate
from components.evaluate.component import evaluate, gate
from components.export.component import export
from components.ingest.component import ingest
from components.records.component import records
from components.split.component import split
from components.train.component import train
from pipelines.cluster.exit_task import EXIT_TASK, report_end
from pipelines.cluster_file import STEPS, Cluster
from pipelines.placement import pipeline_config, place
from pipelines.registry.task import REGISTER_TASK, register

PIPELINE_NAME = "lesionflow"
NESTED = "steps"


def build_pipeline(cluster: Cluster):
    """The pipeline for one cluster: a kfp pipeline object, ready to compile or to run locally."""

    def steps(
        metadata: str,
        images: list,
        label_policy: str = "ham10000",
        max_lost_pct: float = 5.0,
        recipe: str = "stratified",
        seed: int = 42,
        image_size: str = "224x224",
        architecture: str = "efficientnet_lite0",
        weights: str = "none",
        epochs: int = 20,
        batch_size: int = 32,
        learning_rate: float = 4e-4,
        train_options: dict = {},  # noqa: B006 - kfp copies defaults into the compiled file
        calibration: str = "auto",
        operating_point: str = "lower_bound",
        target_sensitivity: float = 0.9,
        gate_conditions: list = [],  # noqa: B006
        champion: str = "",
        gpu_node_selector: dict = {},  # noqa: B006
        gpu_tolerations: list = [],  # noqa: B006
    ):
        """Dermoscopic images and a table become a calibrated, audited benign/malignant classifier.

        Args:
            metadata: URI of the table (CSV): gs://, s3:// or a path the pods can read.
            images: URIs of the folders that hold the images.
            label_policy: Which diagnoses count as malignant: ham10000, ham10000-without-akiec, or a YAML URI.
            max_lost_pct: The run stops when more than this share of images, in percent, is unusable.
            recipe: How lesions are split: stratified, reference, kfold:K or column:NAME.
            seed: Seed of split and training.
            image_size: Height x width in pixels the network sees, such as 224x224 or 144x192.
            architecture: Backbone, such as efficientnet_lite0, resnet50 or small_cnn.
            weights: Pretrained weights: imagenet, none, a path or a gs:// URI.
            epochs: Most epochs of training; early stopping may end it before.
            batch_size: Images per step, over all GPUs of the pod.
            learning_rate: Peak learning rate of AdamW.
            train_options: Further training parameters by name, as JSON, such as {"precision": "bfloat16"}.
            calibration: Calibrator: auto, none, offset, temperature, platt, beta or isotonic.
            operating_point: Rule for the threshold: lower_bound, point, cost or youden.
            target_sensitivity: Sensitivity that lower_bound and point aim for.
            gate_conditions: Conditions on the test result that fail the run when missed, such as ["ap.lower >= 0.60"].
            champion: URI of another model's test_probs.npz on the same test images, to compare with; empty is none.
            gpu_node_selector: Labels, as JSON, that the node of the training pod must carry.
            gpu_tolerations: Taints, as JSON, that the training pod tolerates.
        """
        placed = {"cluster": cluster, "selector": gpu_node_selector, "tolerations": gpu_tolerations}
        index = ingest(
            metadata=metadata, images=images, label_policy=label_policy, max_lost_pct=max_lost_pct,
            cache=cluster.ingest_cache,
        )  # fmt: skip
        parts = split(index=index.outputs["index"], recipe=recipe, seed=seed)
        shards = records(split_data=parts.outputs["split_data"], image_size=image_size, max_lost_pct=max_lost_pct)
        trained = train(
            records=shards.outputs["records"], architecture=architecture, weights=weights, image_size=image_size,
            epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, seed=seed, options=train_options,
        )  # fmt: skip
        model = trained.outputs["model"]
        policy = calibrate(
            model=model, calibration=calibration, operating_point=operating_point,
            target_sensitivity=target_sensitivity,
        )  # fmt: skip
        bundle = export(
            model=model, policy=policy.outputs["policy"], split_data=parts.outputs["split_data"],
            formats=list(cluster.serving.formats), augmentation=cluster.serving.augmentation,
        )  # fmt: skip
        evaluation = evaluate(
            bundle=bundle.outputs["bundle"], split_data=parts.outputs["split_data"], model=model,
            records=shards.outputs["records"], gate=gate_conditions, champion=champion,
        )  # fmt: skip
        verdict = gate(evaluation=evaluation.outputs["evaluation"])
        tasks = (index, parts, shards, trained, policy, bundle, evaluation, verdict)
        for step, task in zip(STEPS, tasks, strict=True):
            place(task, step, **placed)
        if cluster.registry.server:
            registered = register(
                bundle=bundle.outputs["bundle"], evaluation=evaluation.outputs["evaluation"],
                server=cluster.registry.server, name=cluster.registry.name, models=cluster.registry.models,
            ).after(verdict)  # fmt: skip
            place(registered, REGISTER_TASK, **placed)

    return _with_exit_task(steps, cluster)


def _with_exit_task(steps, cluster: Cluster):
    """The steps as a pipeline inside the pipeline and, after it, however it ended, the exit task.

    An exit task starts when the task that it waits for has ended. The last step never starts after an
    earlier failure, so the exit task waits for all steps as one. A nested pipeline, not dsl.ExitHandler
    alone: inside the latter, selector and tolerations would read parameters that nothing declares. The
    outer pipeline has the inner one's parameters, descriptions and defaults.
    """
    inner = dsl.pipeline(name=NESTED)(steps)
    names = list(inspect.signature(steps).parameters)

    def lesionflow(*values):
        body = inner(**dict(zip(names, values, strict=True)))
        ending = report_end().after(body).ignore_upstream_failure()
        place(ending, EXIT_TASK, cluster=cluster, selector=None, tolerations=None)

    lesionflow.__signature__ = inspect.signature(steps)
    lesionflow.__doc__ = steps.__doc__
    decorate = dsl.pipeline(
        name=PIPELINE_NAME,
        description="Dermoscopic images and a table become a calibrated, audited benign/malignant classifier.",
        pipeline_config=pipeline_config(cluster),
    )
    return decorate(lesionflow)
