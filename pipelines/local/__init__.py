"""`lesionflow run`: the pipeline on one machine."""
