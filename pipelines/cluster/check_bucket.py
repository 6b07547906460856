"""Doctor's look at object storage: can a small object be written and read back?"""

from __future__ import annotations

import tempfile
from pathlib import Path

from components.common.runtime.errors import LesionflowError
from components.common.runtime.secrets import without_secrets
from components.common.storage import store
from pipelines.cluster.check import Check, failed, ok

PROBE = ".lesionflow-doctor"


def check_bucket(uri: str) -> Check:
    """Writes and reads one small object of a fixed name below `uri`; it stays there, a few bytes."""
    what = f"bucket {uri}"
    target = f"{uri.rstrip('/')}/{PROBE}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / PROBE
            file.write_text("lesionflow doctor\n", encoding="utf-8")
            store.upload(file, target)
        same = store.read_bytes(target) == b"lesionflow doctor\n"
    except LesionflowError as error:
        return failed(what, without_secrets(str(error)), "grant the signed-in account storage.objectUser on the bucket")
    if not same:
        return failed(what, "what was read back differs from what was written", "look at the bucket's versioning")
    return ok(what, "readable and writable from here; the pods use their own service account")
