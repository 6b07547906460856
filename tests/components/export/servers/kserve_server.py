"""KServe's own model server with a bundle in it: `kserve_server.py SAVED_MODEL PORT`, in KServe's environment."""

import base64
import sys

import kserve
import tensorflow as tf


class Bundle(kserve.Model):
    """V1 requests, mapped to the signature as TensorFlow Serving maps them."""

    def load(self):
        self.model = tf.saved_model.load(sys.argv[1])
        self.ask = self.model.signatures["serving_default"]
        self.ready = True

    def predict(self, payload, headers=None, response_headers=None):
        images = [base64.b64decode(one["image_bytes"]["b64"]) for one in payload["instances"]]
        outputs = {name: value.numpy() for name, value in self.ask(image_bytes=tf.constant(images, tf.string)).items()}
        return {
            "predictions": [
                {n: v[i].decode() if isinstance(v[i], bytes) else v[i].item() for n, v in outputs.items()}
                for i in range(len(images))
            ]
        }


if __name__ == "__main__":
    port = int(sys.argv[2])
    model = Bundle("lesionflow")
    model.load()
    sys.argv = sys.argv[:2]
    kserve.ModelServer(http_port=port, enable_grpc=False, workers=1, enable_latency_logging=False).start([model])
