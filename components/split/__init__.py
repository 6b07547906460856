"""Split: lesion groups go to train, val and test, and the result is audited."""
