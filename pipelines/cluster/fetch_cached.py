"""Where the result of a cached step lies: with the run that made it, found by the hash that later steps name.

Kubeflow tells neither a run nor its tasks whose result it reused. But every artifact of ours names the digests of what
it was made from, so a step of this run that did run says which index, split or model it has read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from components.common.artifacts.folder import MANIFEST, SCHEMA, sha256_file
from components.common.artifacts.json_file import read_json
from components.common.runtime.errors import ArtifactError
from components.common.storage import store
from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError
from pipelines.cluster.retry import pages
from pipelines.cluster.runs import parameters_of

# the name by which later artifacts call what a step has made
INPUT_NAMES = {
    "ingest": "index",
    "split": "split",
    "records": "records",
    "train": "model",
    "calibrate": "policy",
    "export": "bundle",
}
_PAGE, _MOST_PAGES = 50, 10  # runs asked for at once, and how often


class CachedSteps:
    """The cached steps of one run, in the store below `root`."""

    def __init__(self, connection: Connection, run: Any, root: str) -> None:
        self._connection, self._run, self._root = connection, run, root
        self._earlier: list[Any] | None = None

    def made_by(self, step: str) -> str:
        """Id of the run whose `step` made what this run reused.

        Raises:
            ClusterError: no step of this run names it, or no earlier run in the store has it.
        """
        wanted = INPUT_NAMES.get(step, "")
        known = self._named_by(self._run.run_id)
        opened: set[str] = set()
        while wanted not in known:  # named by another cached step, perhaps
            reader = next((one for one, name in INPUT_NAMES.items() if name in known and one not in opened), None)
            if reader is None:
                raise ClusterError(self._unprovable(step))
            opened.add(reader)
            known = self._named_by(self._search(reader, known[INPUT_NAMES[reader]]), reader) | known
        return self._search(step, known[wanted])

    def _named_by(self, run_id: str, step: str = "") -> dict[str, str]:
        """Digests that the artifacts of a run, or of one of its steps, say they were made from."""
        named: dict[str, str] = {}
        for one in [step] if step else INPUT_NAMES | {"evaluate": "evaluation"}:
            for _, made_from in self._manifests(run_id, one):
                named |= made_from
        return named

    def _search(self, step: str, digest: str) -> str:
        for earlier in self._earlier_runs():
            if any(found == digest for found, _ in self._manifests(earlier.run_id, step)):
                return str(earlier.run_id)
        raise ClusterError(
            f"step {step}: its result came from the cache, and none of {len(self._earlier_runs())} earlier runs has it "
            f"in the store (its digest begins {digest[:12]}); it was removed, or made in another namespace"
        )

    def _manifests(self, run_id: str, step: str) -> Iterator[tuple[str, dict[str, str]]]:
        """Digest of each artifact of ours that a step made, and what it was made from."""
        try:
            listed = store.list_files(store.join(self._root, f"{run_id}/{step}"))
        except FileNotFoundError:
            return
        for item in listed:
            if item.uri.rpartition("/")[2] == MANIFEST:
                with tempfile.TemporaryDirectory() as folder:
                    path = store.fetch(item.uri, Path(folder))
                    try:
                        record = read_json(path, SCHEMA)
                    except ArtifactError:
                        continue  # of somebody else
                    yield sha256_file(path), dict(record.get("made_from") or {})

    def _earlier_runs(self) -> list[Any]:
        if self._earlier is None:
            listed = islice(pages("listing runs", self._page), _MOST_PAGES)
            every = (one for page in listed for one in page.runs or [])
            self._earlier = [one for one in every if one.run_id != self._run.run_id]
        return self._earlier

    def _page(self, token: str) -> Any:
        return self._connection.kfp.list_runs(
            page_token=token,
            page_size=_PAGE,
            sort_by="created_at desc",
            namespace=self._connection.user_namespace,
        )

    def _unprovable(self, step: str) -> str:
        mine = parameters_of(self._run)
        alike = [
            one.run_id
            for one in self._earlier_runs()
            if parameters_of(one) == mine and next(self._manifests(one.run_id, step), None) is not None
        ]
        tried = f"; the same parameters had: {', '.join(alike[:3])} (lesionflow fetch RUN --step {step})"
        return (
            f"step {step}: its result came from the cache, and no later step of this run ran anew to name "
            f"it{tried if alike else ''}; the UI links it"
        )
