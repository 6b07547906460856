"""What docs/how-to/serving.md tells a client to send, mapped to the signature as the servers' documents say."""

import base64
import http.server
import json
import struct
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

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


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        status, answer = self.server.answer(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """A server on loopback: `server(answer)` gives its URL; `answer(body)` gives status and body."""
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()

    def serving(answer):
        running.answer = answer
        return f"http://127.0.0.1:{running.server_port}/v1/models/lesionflow:predict"

    yield serving
    running.shutdown()
    running.server_close()


def test_every_protocol_gives_the_bundles_predictions_with_a_bad_image_among_them(bundle, kit, asking, server):
    images = [kit.jpeg(0), b"no image", kit.jpeg(1, 450, 600)]
    expected = bundle.predict(images)
    for rows in (
        asking.predict(server(lambda body: (200, tensorflow_serving(bundle, body).encode())), images),
        asking.predict_v2(server(lambda body: (200, open_inference_json(bundle, body).encode())), images),
        asking.v2_rows(open_inference(bundle, *asking.v2_binary(images)), len(images)),
    ):
        assert [row["status"] for row in rows] == ["ok", "not_an_image", "ok"]
        assert [row["decision"] for row in rows] == expected.decision.tolist()
        np.testing.assert_allclose([row["probability"] for row in rows], expected.probability, atol=1e-6)
        assert {row["policy_id"] for row in rows} == {bundle.policy.policy_id}


def test_the_documented_request_works(bundle, kit, asking):
    """The curl example in docs/how-to/serving.md, with an image put where the shell puts it."""
    text = (Path(__file__).parents[3] / "docs" / "how-to" / "serving.md").read_text()
    template = next(line for line in text.splitlines() if '"instances"' in line).strip().strip("'")
    assert template.count("%s") == 1
    body = template.replace("%s", base64.b64encode(kit.jpeg(2)).decode()).removeprefix("printf '").split("' ")[0]
    (row,) = asking.v1_rows(tensorflow_serving(bundle, body), 1)
    assert row["status"] == "ok"


def test_pixels_can_be_sent_as_rows(bundle):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    signature = bundle.signatures["predict_pixels"]
    (name,) = signature.structured_input_signature[1]
    sent = json.loads(json.dumps({"signature_name": "predict_pixels", "instances": pixels.tolist()}))
    out = signature(**{name: tf.constant(sent["instances"], tf.uint8)})
    np.testing.assert_allclose(out["logit"], bundle.predict_pixels(pixels).logit)


ROW = {"probability": 0.5, "decision": 1, "logit": 0.0, "policy_id": "p", "status": "ok"}
ANSWERS = [
    '{"error": "Servable not found"}',
    '{"detail": "Model lesionflow not found"}',
    '{"message": "Not Found", "code": 404}',
    '{"outputs": {"probability": [0.5], "decision": [1]}}',
    "upstream connect error or disconnect/reset before headers",
    "<html>502 Bad Gateway</html>",
    '{"predictions": [0.5]}',
    '{"predictions": [{"probability": 0.5}]}',
    '{"predictions": null}',
    "null",
    "[]",
    "",
    json.dumps({"predictions": [ROW, ROW]}),
    json.dumps({"outputs": [{"name": name, "data": [value] * 2} for name, value in ROW.items()]}),
    json.dumps({"outputs": [{"name": name, "data": value} for name, value in ROW.items()]}),
    '{"outputs": [{"name": "dense", "data": [1]}]}',
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_what_is_not_one_prediction_per_image_is_an_error_that_shows_it(answer, asking, server):
    for ask in (asking.predict, asking.predict_v2):
        with pytest.raises(RuntimeError, match="expected 1 predictions of a lesionflow bundle, received") as caught:
            ask(server(lambda body: (404, answer.encode())), [b"image"])
        assert repr(answer.encode()[:200]) in str(caught.value)
