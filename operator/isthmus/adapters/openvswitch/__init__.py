"""Open vSwitch: its database, and the flows of br-cloud."""
