"""The container images. Not part of the installed package."""
