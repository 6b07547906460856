"""The DAG, its local run and the lesionflow command."""
