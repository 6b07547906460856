"""Request bodies, mapped to the signature as the servers' documents say, asked of the real bundle."""

import base64
import json
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from components.common.runtime.errors import DataError
from components.export.requests import v1_request, v1_rows, v2_json_request, v2_request, v2_rows

TYPES = {"BYTES": tf.string, "FP32": tf.float32, "INT32": tf.int32}


def tensorflow_serving(bundle, body):
    """Row format: a list of named tensors, stacked; base64 objects are bytes; each output is split by row."""
    request = json.loads(body)
    signature = bundle.signatures[request.get("signature_name", "serving_default")]
    (name,) = signature.structured_input_signature[1]
    values = [row[name] if isinstance(row, dict) and name in row else row for row in request["instances"]]
    data = [base64.b64decode(value["b64"], validate=True) for value in values]
    outputs = {key: value.numpy() for key, value in signature(**{name: tf.constant(data)}).items()}
    assert all(len(value) == len(data) for value in outputs.values()), "rows cannot be split"
    # names that end in _bytes come back as base64, all other text as it is
    assert not any(key.endswith("_bytes") for key in outputs)
    rows = [
        {k: v[i].decode() if isinstance(v[i], bytes) else v[i].item() for k, v in outputs.items()}
        for i in range(len(data))
    ]
    return json.dumps({"predictions": rows}, allow_nan=False)


def open_inference(bundle, body, headers):
    """Binary data extension: JSON head of the announced length, then length-prefixed elements."""
    cut = int(headers["Inference-Header-Content-Length"])
    request, raw = json.loads(body[:cut]), body[cut:]
    (tensor,) = request["inputs"]
    signature = bundle.signatures["serving_default"]
    spec = signature.structured_input_signature[1][tensor["name"]]
    assert spec.dtype == TYPES[tensor["datatype"]]
    assert spec.shape.is_compatible_with(tensor["shape"])
    assert tensor["parameters"]["binary_data_size"] == len(raw)
    data = []
    while raw:
        (size,) = struct.unpack("<I", raw[:4])
        data.append(raw[4 : 4 + size])
        raw = raw[4 + size :]
    outputs = signature(**{tensor["name"]: tf.reshape(tf.constant(data), tensor["shape"])})
    asked = [output["name"] for output in request["outputs"]]
    columns = [(name, outputs[name].numpy()) for name in asked]
    plain = [[v.decode() if isinstance(v, bytes) else v.item() for v in column] for _, column in columns]
    listed = [{"name": n, "shape": [len(data)], "data": p} for (n, _), p in zip(columns, plain, strict=True)]
    return json.dumps({"outputs": listed}, allow_nan=False)


def open_inference_json(bundle, body):
    """Plain JSON: elements of the announced content type, base64 text, in the order of the shape."""
    (tensor,) = json.loads(body)["inputs"]
    assert (tensor["datatype"], tensor["parameters"]) == ("BYTES", {"content_type": "base64"})
    assert tensor["shape"] == [len(tensor["data"])]
    data = [base64.b64decode(one, validate=True) for one in tensor["data"]]
    outputs = bundle.signatures["serving_default"](**{tensor["name"]: tf.constant(data, tf.string)})
    columns = {name: value.numpy() for name, value in outputs.items()}
    plain = {n: [v.decode() if isinstance(v, bytes) else v.item() for v in c] for n, c in columns.items()}
    return json.dumps({"outputs": [{"name": n, "shape": [len(data)], "data": values} for n, values in plain.items()]})


def test_both_protocols_give_the_bundles_answers_with_a_bad_image_among_them(bundle, kit):
    images = [kit.jpeg(0), b"no image", kit.jpeg(1, 450, 600)]
    expected = bundle.predict(images)
    for rows in (
        v1_rows(tensorflow_serving(bundle, v1_request(images))),
        v2_rows(open_inference(bundle, *v2_request(images))),
        v2_rows(open_inference_json(bundle, v2_json_request(images))),
    ):
        assert [row["status"] for row in rows] == ["ok", "not_an_image", "ok"]
        assert [row["decision"] for row in rows] == expected.decision.tolist()
        np.testing.assert_allclose([row["probability"] for row in rows], expected.probability, atol=1e-6)
        assert {row["policy_id"] for row in rows} == {bundle.policy.policy_id}


def test_the_documented_request_works(bundle, kit):
    """The curl example in docs/how-to/serving.md, with an image put where the shell puts it."""
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "serving.md").read_text()
    template = next(line for line in text.splitlines() if '"instances"' in line).strip().strip("'")
    assert template.count("%s") == 1
    body = template.replace("%s", base64.b64encode(kit.jpeg(2)).decode()).removeprefix("printf '").split("' ")[0]
    (row,) = v1_rows(tensorflow_serving(bundle, body))
    assert row["status"] == "ok"


def test_pixels_can_be_sent_as_rows(bundle):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    signature = bundle.signatures["predict_pixels"]
    (name,) = signature.structured_input_signature[1]
    sent = json.loads(json.dumps({"signature_name": "predict_pixels", "instances": pixels.tolist()}))
    out = signature(**{name: tf.constant(sent["instances"], tf.uint8)})
    np.testing.assert_allclose(out["logit"], bundle.predict_pixels(pixels).logit)


def test_a_servers_error_and_another_model_are_clear():
    with pytest.raises(DataError, match="the model server answered: Servable not found"):
        v1_rows('{"error": "Servable not found"}')
    with pytest.raises(DataError, match="lacks decision, logit, policy_id, status"):
        v1_rows('{"predictions": [{"probability": 0.5}]}')
    with pytest.raises(DataError, match="is this model a lesionflow bundle"):
        v2_rows('{"outputs": [{"name": "dense", "data": [1]}]}')
