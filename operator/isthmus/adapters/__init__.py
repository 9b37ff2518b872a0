"""One module for each outside world; adapters never import each other."""
