"""Facts about external systems that planning needs: OpenStack's resources, a peer's published objects."""
