"""Export: model and decision policy become a bundle that serves JPEG bytes."""
