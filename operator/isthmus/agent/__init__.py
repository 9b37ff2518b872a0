"""The agent process on a gateway node: snapshot, plan, compare, apply, report."""
