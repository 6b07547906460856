"""The backend Keras runs on: TensorFlow, or JAX where KERAS_BACKEND=jax is set."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from components.common.runtime.errors import ConfigError
from components.common.runtime.session import native_stderr_hidden

BACKENDS = ("tensorflow", "jax")
_JAX_DETERMINISM = "--xla_gpu_deterministic_ops=true"


def prepare_backend(*, deterministic: bool) -> str:
    """Imports Keras with its backend; to be called before anything else does.

    Args:
        deterministic: JAX on a GPU reads this from its environment when it starts, TensorFlow is told later.

    Returns:
        tensorflow or jax.

    Raises:
        ConfigError: another backend, or one that is not installed.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if deterministic and _JAX_DETERMINISM not in flags and os.environ.get("KERAS_BACKEND") == "jax":
        os.environ["XLA_FLAGS"] = f"{flags} {_JAX_DETERMINISM}".strip()
    _check(os.environ.get("KERAS_BACKEND") or BACKENDS[0])
    try:
        with native_stderr_hidden():
            import keras
    except ModuleNotFoundError as error:
        if error.name not in BACKENDS:
            raise
        other = "jax" if error.name == "tensorflow" else "tensorflow"
        raise ConfigError(
            f"Keras is configured to run on {error.name}, which is not installed; install it, or set "
            f"KERAS_BACKEND={other}"
        ) from error
    name = str(keras.backend.backend())
    _check(name)  # keras.json may name another one
    return name


def forget_networks() -> None:
    """Lets go of what Keras keeps of earlier networks, for a process that trains many."""
    import keras

    keras.backend.clear_session()


def _check(name: str) -> None:
    if name not in BACKENDS:
        raise ConfigError(f"KERAS_BACKEND: received {name!r}; allowed: {', '.join(BACKENDS)}")


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A pure function of tensors as one compiled graph: tf.function on TensorFlow, jax.jit on JAX."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    import tensorflow as tf

    return tf.function(function)  # type: ignore[no-any-return]
