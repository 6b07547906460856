"""Where bytes live: local folders, gs:// and s3://."""
