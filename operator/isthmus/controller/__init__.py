"""The controller process: gather, validate, plan, compare, apply, report."""
