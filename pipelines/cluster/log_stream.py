"""The log of one pod, each line once, however often the connection is lost."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from typing import Any

from pipelines.cluster.connection import Connection
from pipelines.cluster.errors import ClusterError, api_call
from pipelines.cluster.pods import MAIN, has_ended
from pipelines.cluster.retry import patiently

log = logging.getLogger(__name__)
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$")
_RECONNECT_S = 1.0
_IDLE_S = 300.0  # a silent connection may be dead: ask anew, which costs nothing
_GONE = frozenset({400, 404})


class PodLog:
    """Reads one pod's main container; remembers what it has given out.

    Kubernetes resumes a log only to the second. Every line therefore carries its time stamp (to the
    nanosecond), and after a reconnect lines up to the last one seen are dropped.
    """

    def __init__(self, connection: Connection, pod: str) -> None:
        self._connection = connection
        self._pod = pod
        self._last = ""
        self._at_last = 0  # lines given out that carry the last time stamp

    def follow(self) -> Iterator[str]:
        """Lines until the container has ended or the pod is gone.

        Raises:
            ClusterError: not allowed to read it.
        """
        while True:
            ended = self._container_ended()
            try:
                yield from self._lines(follow=not ended)
            except ClusterError as error:
                if error.status in (401, 403):
                    raise
                if error.status in _GONE and self._container_ended():
                    return
                log.debug("log of %s: %s; connecting again", self._pod, error)
            else:
                if ended:  # and that read was a plain one, to the end
                    return
            time.sleep(_RECONNECT_S)

    def so_far(self) -> Iterator[str]:
        """What there is now."""
        yield from self._lines(follow=False)

    def _lines(self, *, follow: bool) -> Iterator[str]:
        response = self._request(follow=follow)
        skip = self._at_last
        try:
            with api_call(f"log of {self._pod}"):
                for stamp, text, whole in _stamped(response):
                    if self._last and stamp < self._last:
                        continue
                    if stamp == self._last and skip:
                        skip -= 1
                        continue
                    if not whole and follow:
                        return  # cut inside a line: the next connection brings all of it
                    self._remember(stamp)
                    yield text
        finally:
            response.release_conn()

    def _remember(self, stamp: str) -> None:
        self._at_last = self._at_last + 1 if stamp == self._last else 1
        self._last = stamp

    def _request(self, *, follow: bool) -> Any:
        query = {"container": MAIN, "timestamps": "true", "follow": str(follow).lower()}
        if self._last:
            query["sinceTime"] = self._last[:19] + "Z"
        # the generated method has no sinceTime
        path = f"/api/v1/namespaces/{self._connection.namespace}/pods/{self._pod}/log"
        return self._connection.open(path, query, idle_s=_IDLE_S)

    def _container_ended(self) -> bool:
        path = f"/api/v1/namespaces/{self._connection.namespace}/pods/{self._pod}"
        try:
            return has_ended(patiently(lambda: self._connection.get_json(path)))
        except ClusterError as error:
            if error.status == 404:
                return True
            raise


def _stamped(response: Any) -> Iterator[tuple[str, str, bool]]:
    """Time stamp, text, and whether the line came whole."""
    rest = b""
    # read1 gives what has come so far; `stream` would wait for a full block, and lose it when cut
    while chunk := response.read1(65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield (*_split(line), True)
    if rest:
        yield (*_split(rest), False)


def _split(line: bytes) -> tuple[str, str]:
    stamp, _, text = line.decode("utf-8", "replace").partition(" ")
    if not _STAMP.match(stamp):
        return "", f"{stamp} {text}".rstrip()
    return _comparable(stamp), text


def _comparable(stamp: str) -> str:
    """Nanoseconds always written out: Kubernetes drops trailing zeros, which would sort wrongly."""
    seconds, _, fraction = stamp.rstrip("Z").partition(".")
    return f"{seconds}.{fraction:0<9}"
