"""Train: a backbone and a malignant logit, selected by exact average precision."""
