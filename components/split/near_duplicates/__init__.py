"""Near-duplicates: copies of one picture, or pictures of one lesion, under several image ids."""
