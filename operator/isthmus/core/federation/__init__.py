"""The agreement with one peer: validation, publication, status."""
