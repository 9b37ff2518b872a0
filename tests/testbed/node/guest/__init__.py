"""Programs that run inside a gateway node; tests never import them."""
