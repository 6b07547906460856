"""Generated images and their table."""
