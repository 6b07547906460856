"""Artifacts: one module per contract, with its schema name, its dataclass, its reader and its writer."""
