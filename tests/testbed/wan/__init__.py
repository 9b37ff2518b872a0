"""The network between the clouds: routing, faults, captures and what may be on the wire."""
