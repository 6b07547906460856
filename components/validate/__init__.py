"""Validate: a finished bundle on another clinic's images, beside what its internal test showed."""
