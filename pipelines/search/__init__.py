"""`lesionflow search`: training parameters chosen on validation, out of many trials."""
