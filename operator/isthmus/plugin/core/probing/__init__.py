"""`kubectl isthmus verify` and `bench`: dataplane probes of a stretched network, which its gateway nodes send."""
