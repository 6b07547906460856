"""Near-duplicates: pictures of one lesion, or copies of one picture, under several ids."""
