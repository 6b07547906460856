"""A bundle in MLServer: its own codecs read the V2 request and write the answer."""

import tensorflow as tf
from mlserver import MLModel
from mlserver.codecs import Base64Codec, NumpyCodec, StringCodec
from mlserver.types import InferenceResponse


class Bundle(MLModel):
    """V2 requests with BYTES of content type base64."""

    async def load(self):
        self.model = tf.saved_model.load(self.settings.parameters.uri)
        self.ask = self.model.signatures["serving_default"]
        return True

    async def predict(self, payload):
        (tensor,) = payload.inputs
        images = Base64Codec.decode_input(tensor)
        outputs = []
        for name, value in self.ask(image_bytes=tf.constant(images, tf.string)).items():
            column = value.numpy()
            if column.dtype == object:
                outputs.append(StringCodec.encode_output(name, [text.decode() for text in column]))
            else:
                outputs.append(NumpyCodec.encode_output(name, column))
        return InferenceResponse(model_name=self.name, outputs=outputs)
