"""Calibrate: validation scores become probabilities and one decision rule."""
