"""Pure mathematics on labels, scores and groups; imports nothing else of this project."""
