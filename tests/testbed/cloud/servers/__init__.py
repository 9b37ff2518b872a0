"""The servers of a lab's clouds: database, message broker, OVN, Keystone, Neutron."""
