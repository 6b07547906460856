"""Step 6: the serving bundle, from image bytes to a decision, checked against the Keras model."""
