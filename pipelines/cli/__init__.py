"""The `lesionflow` command."""
