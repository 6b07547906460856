"""What every step shares: artifact contracts, configuration, storage, logging. Imports no TensorFlow."""
