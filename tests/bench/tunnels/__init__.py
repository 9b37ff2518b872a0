"""Figures of tunnels, in one guest with real Open vSwitch, ESP and charon.

`python -m tests.bench.tunnels throughput|overheads|relayed FILE` measures inside, and writes what it has found as JSON;
`figures` runs it there, and summarises.
"""
