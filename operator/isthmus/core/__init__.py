"""Pure planning: from objects and facts to wanted state; no clock, no input or output, no logging."""
