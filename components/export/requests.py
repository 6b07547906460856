"""Request bodies for model servers, and their answers as rows: TensorFlow Serving's REST (KServe V1) and V2.

V1: github.com/tensorflow/serving/blob/master/tensorflow_serving/g3doc/api_rest.md, binary values as
{"b64": ...}. V2: the Open Inference Protocol with its binary data extension, in which each BYTES element
follows its length as four bytes, little end first (Triton); or plain JSON, in which a file has to be base64
and says so by its content type (MLServer).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from components.common.bundle import layout
from components.common.runtime.errors import DataError

INPUT = "image_bytes"


def v1_request(images: Sequence[bytes], signature: str = "serving_default") -> str:
    """Body of `POST /v1/models/<name>:predict` for image files, in row format."""
    instances = [{INPUT: {"b64": base64.b64encode(data).decode("ascii")}} for data in images]
    return json.dumps({"signature_name": signature, "instances": instances})


def v1_rows(body: str | bytes) -> list[dict[str, Any]]:
    """The answers in a V1 response, one mapping an image.

    Raises:
        DataError: the server answered with an error, or with other outputs than a bundle has.
    """
    answer = json.loads(body)
    if "error" in answer:
        raise DataError(f"the model server answered: {answer['error']}")
    rows: list[dict[str, Any]] = answer.get("predictions", [])
    for row in rows:
        _check_names(row)
    return rows


def v2_request(images: Sequence[bytes]) -> tuple[bytes, dict[str, str]]:
    """Body and headers of `POST /v2/models/<name>/infer` for image files, with binary data."""
    data = b"".join(struct.pack("<I", len(one)) + one for one in images)
    tensor = {"name": INPUT, "shape": [len(images)], "datatype": "BYTES",
              "parameters": {"binary_data_size": len(data)}}  # fmt: skip
    outputs = [{"name": name, "parameters": {"binary_data": False}} for name in layout.OUTPUTS]
    head = json.dumps({"inputs": [tensor], "outputs": outputs}).encode()
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))}
    return head + data, headers


def v2_json_request(images: Sequence[bytes]) -> str:
    """Body of `POST /v2/models/<name>/infer` for image files, in plain JSON with base64 elements."""
    data = [base64.b64encode(one).decode("ascii") for one in images]
    tensor = {"name": INPUT, "shape": [len(data)], "datatype": "BYTES", "data": data,
              "parameters": {"content_type": "base64"}}  # fmt: skip
    return json.dumps({"inputs": [tensor]})


def v2_rows(body: str | bytes) -> list[dict[str, Any]]:
    """The answers in a V2 response in plain JSON, one mapping an image.

    Raises:
        DataError: the server answered with an error, or with other outputs than a bundle has.
    """
    answer = json.loads(body)
    if "error" in answer:
        raise DataError(f"the model server answered: {answer['error']}")
    columns = {output["name"]: output["data"] for output in answer.get("outputs", [])}
    _check_names(columns)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _check_names(received: Mapping[str, Any]) -> None:
    missing = sorted(set(layout.OUTPUTS) - set(received))
    if missing:
        raise DataError(f"the model server's answer lacks {', '.join(missing)}; is this model a lesionflow bundle?")
