"""Runs the compiled pipeline through KFP's local runner, in a process of its own.

KFP's runner prints banners and tracebacks of its own and keeps global state; here that is a log file
of the parent, `pipelines.local.run`, which draws what a person wants to see.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

from kfp import components, local
from kfp.local import cache

from pipelines.local.step_cache import StepCache


def main(arguments: list[str]) -> int:
    """Runs `PIPELINE_YAML ARGUMENTS_JSON PIPELINE_ROOT CACHE`; 0 only if KFP reports every task as done."""
    pipeline, values, root, cache_root = arguments
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # each task would warn that sizes and images mean nothing here, which is the point of a local run
    warnings.filterwarnings("ignore", module=r"kfp\.local")
    cache.LocalCache = StepCache  # kfp has no setting for another cache
    # use_venv=False: the steps run in this very environment, as in an image that holds the package
    local.init(
        runner=local.SubprocessRunner(use_venv=False),
        pipeline_root=root,
        raise_on_error=True,
        enable_caching=True,
        cache_root=cache_root,
    )
    run = components.load_component_from_file(pipeline)
    try:
        run(**json.loads(Path(values).read_text(encoding="utf-8")))
    except RuntimeError as error:  # raised by kfp when a task failed; the step's own error is above it
        sys.stdout.write(f"{error}\n")
        return 1
    return 0


def _end_with_parent() -> None:
    """Ends this process and its steps when the parent is gone, which holds the other end of standard input.

    `kill -9` gives the parent no chance to stop anybody, but the kernel closes its end of the pipe.
    """
    while os.read(0, 1024):
        pass
    if os.getpgrp() == os.getpid():  # the parent gave this process a group of its own
        os.killpg(os.getpid(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
