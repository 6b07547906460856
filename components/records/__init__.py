"""Records: TFRecord shards written without TensorFlow, with an integrity check."""
