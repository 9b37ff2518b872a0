"""One OpenStack cloud: its servers, and operations of administrators and tenants."""
