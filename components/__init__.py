"""The pipeline's steps; each is a folder with its logic, its command and its KFP interface."""
