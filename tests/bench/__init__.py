"""Benchmarks: ratios and counts within one run, which do not depend on the speed of the machine."""
