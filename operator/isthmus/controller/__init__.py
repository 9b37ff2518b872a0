"""The controller process: read, validate, plan, compare, apply, report."""
