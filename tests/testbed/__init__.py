"""Two OpenStack clouds on one machine, as a library for tests, demo and benchmarks.

A lab is one running instance: `Lab.up()`, or `python -m tests.testbed up`. See docs/testbed.md.
"""
