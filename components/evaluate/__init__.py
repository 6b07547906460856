"""Evaluate: the bundle is scored once on the test images, with intervals and a report."""
