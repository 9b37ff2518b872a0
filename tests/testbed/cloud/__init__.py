"""One OpenStack cloud: its servers and what a tenant does there."""
