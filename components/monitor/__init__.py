"""Monitor: logged predictions of a bundle in use, compared with its validation, with and without late labels."""
