"""The controller's inputs at one moment, and the conditions and Events that it derives from them."""
