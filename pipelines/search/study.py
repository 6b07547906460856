"""The trials of a search, one after the other on this machine: TPE chooses, the median of earlier trials stops.

Every trial trains on the training split and is judged by average precision on validation. The records that it reads
from hold no test image that training opens, so a search of any length leaves the test split unread.

Bergstra et al. 2011 (Algorithms for Hyper-Parameter Optimization); Golovin et al. 2017 (median stopping rule).
"""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import yaml

from components.common.artifacts.folder import open_artifact
from components.common.artifacts.json_file import write_atomic, write_json
from components.common.runtime.errors import ConfigError, TrainingError
from pipelines.search.results import SearchError, Trial, table_csv, trials_svg
from pipelines.search.space import Choice, Search

SCHEMA = "lesionflow.search/1"
_JOURNAL, _MODELS = "journal.log", "trial"
_IDENTITY, _SECONDS = "identity", "seconds"
_PATIENT_TRIALS = 4  # trials that run to their end before any is stopped; none is in its first epoch

log = logging.getLogger(__name__)


def run_search(search: Search, records: Path, out: Path) -> list[Trial]:
    """Runs the trials that are still missing and writes table, picture and the preset of the best.

    The same command goes on after a kill: finished trials are kept in a journal, the one that was running is repeated.

    Raises:
        ArtifactError: damaged records.
        ConfigError: optuna is not installed, or `out` is of another search.
        SearchError: no trial gave a model.
    """
    study = _study(search, records, out)
    import optuna

    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        study.enqueue_trial(trial.params)  # it was killed, so it is still to be tried
    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    while (left := search.config.trials - len(study.get_trials(deepcopy=False, states=done))) > 0:
        before = len(study.trials)
        study.optimize(lambda trial: _objective(search, trial, records, out), n_trials=left, catch=(TrainingError,))
        if _failed_for_ever(study, before):
            break
    trials = [_read(trial) for trial in study.trials if trial.state.is_finished() and _SECONDS in trial.user_attrs]
    return write_results(search, trials, records, out)


def write_results(search: Search, trials: list[Trial], records: Path, out: Path) -> list[Trial]:
    """Writes `search.json`, `trials.csv`, `trials.svg` and `best.yaml`; returns the trials, best first.

    Raises:
        SearchError: no trial ran to its end.
    """
    ranked = sorted(trials, key=lambda one: (one.state != "complete", -(one.average_precision or 0.0), one.number))
    if not ranked or ranked[0].state != "complete":
        raise SearchError(f"none of {len(trials)} trials gave a model; train.log of each says why: try other ranges")
    best = ranked[0]
    write_atomic(out / "trials.csv", table_csv(trials, [choice.field for choice in search.choices]))
    write_atomic(out / "trials.svg", trials_svg(trials))
    head = (
        f"# Best of {len(trials)} trials: average precision {best.average_precision:.4f} on validation, which it was "
        "chosen by.\n"
    )
    chosen = yaml.safe_dump(search.best_preset(best.parameters, len(trials)), sort_keys=True)
    write_atomic(out / "best.yaml", head + chosen)
    write_json(
        out / "search.json",
        {
            "schema": SCHEMA,
            "records": open_artifact(records, "records", verify=False).digest,
            "objective": "average precision on validation",
            "space": search.config.model_dump(mode="json")["space"],
            "tried": len(trials),
            "best": best.number,
            "trials": [one.record() for one in trials],
        },
    )
    return ranked


def _study(search: Search, records: Path, out: Path) -> Any:
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ModuleNotFoundError as error:
        raise ConfigError("search needs optuna: pip install 'lesionflow[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / _JOURNAL).is_file())):
        raise ConfigError(f"--out: {out} holds something else; allowed: a new or an empty folder, or that of a search")
    identity = _identity(search, open_artifact(records, "records").digest)
    out.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(out / _JOURNAL)))
    study = optuna.create_study(
        storage=storage,
        study_name="lesionflow",
        load_if_exists=True,
        direction="maximize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_PATIENT_TRIALS, n_warmup_steps=2),
    )
    # the choices after a kill go on from the trials that are there, not from the seed's beginning
    study.sampler = optuna.samplers.TPESampler(seed=search.config.seed + len(study.trials))
    if study.user_attrs.setdefault(_IDENTITY, identity) != identity:
        raise ConfigError(f"--out: {out} is of a search with other parameters or records; allowed: a new folder")
    study.set_user_attr(_IDENTITY, identity)
    return study


def _identity(search: Search, records: str) -> str:
    base = search.training({}).model_dump(mode="json")
    facts = [records, base, search.config.model_dump(mode="json", exclude={"trials"})]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _objective(search: Search, trial: Any, records: Path, out: Path) -> float:
    import optuna

    from components.train.backend import forget_networks
    from components.train.run import run

    chosen = {choice.field: _suggest(trial, choice) for choice in search.choices}
    folder, started = out / _MODELS, time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)

    def watch(row: dict[str, Any]) -> None:
        trial.report(float(row["val_average_precision"]), int(row["epoch"]))
        if trial.should_prune():
            raise optuna.TrialPruned

    def ended() -> None:  # a trial that was killed has no such entry, and is repeated
        trial.set_user_attr(_SECONDS, time.monotonic() - started)

    try:
        result = run(search.training(chosen), records, folder, watch=watch)
    except optuna.TrialPruned:
        ended()
        log.info("trial %d stopped: below the median of the trials before", trial.number)
        raise
    except (ConfigError, TrainingError) as error:  # ends of ranges are checked alone, two values can contradict
        ended()
        log.warning("trial %d failed: %s", trial.number, error)
        raise TrainingError(str(error)) from error
    finally:
        forget_networks()
        shutil.rmtree(folder, ignore_errors=True)
    ended()
    for name in ("roc_auc", "best_epoch"):
        trial.set_user_attr(name, float(getattr(result, name)))
    log.info("trial %d: average precision %.4f, %s", trial.number, result.average_precision, json.dumps(chosen))
    return float(result.average_precision)


def _suggest(trial: Any, choice: Choice) -> Any:
    if choice.span is None:
        return trial.suggest_categorical(choice.field, list(choice.values))
    low, high = choice.ends()
    suggest = trial.suggest_int if choice.whole else trial.suggest_float
    return suggest(choice.field, low, high, log=choice.span.log)


def _failed_for_ever(study: Any, before: int) -> bool:
    """Whether every trial since `before` failed: the next ones would fail too."""
    import optuna

    return all(trial.state == optuna.trial.TrialState.FAIL for trial in study.trials[before:])


def _read(trial: Any) -> Trial:
    seen = list(trial.intermediate_values.values())
    state = trial.state.name.lower()
    value = trial.value if state == "complete" else max(seen, default=None)
    return Trial(
        number=trial.number,
        state={"pruned": "stopped", "fail": "failed"}.get(state, state),
        parameters=dict(trial.params),
        average_precision=value,
        roc_auc=trial.user_attrs.get("roc_auc"),
        best_epoch=int(trial.user_attrs["best_epoch"]) if "best_epoch" in trial.user_attrs else None,
        epochs=len(seen),
        seconds=float(trial.user_attrs[_SECONDS]),
    )
