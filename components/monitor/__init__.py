"""Monitor: logged predictions of a bundle in use, held against its validation, with and without late labels."""
