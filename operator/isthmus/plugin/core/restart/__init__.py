"""`kubectl isthmus restart`: which pods are replaced, and when the next one may be."""
