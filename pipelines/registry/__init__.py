"""Kubeflow's Model Registry."""
