"""`kubectl isthmus uninstall`: what is left of Isthmus, what is removed next, and why something is not removed."""
