"""Generated dermoscopy-like images and a table in HAM10000's schema: no patient, no licence, no download."""
