"""Two OpenStack clouds on one machine, as a library: tests, demo and benches share it."""
