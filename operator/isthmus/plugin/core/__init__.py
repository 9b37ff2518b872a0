"""What the plugin answers, computed from documents: no clock, no I/O, no logging."""
