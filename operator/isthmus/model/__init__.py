"""Types only: custom resources, facts of the outside world, wanted state, conditions, deterministic names."""
