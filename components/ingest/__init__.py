"""Ingest: a table and image roots become an index with one verdict per image."""
