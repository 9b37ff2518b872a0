"""`kubectl isthmus gather`: what is read for the archive, what is left out of it, and what it looks like."""
