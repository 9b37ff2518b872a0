"""Ratios and counts of one run on the lab, to build/bench.json."""
