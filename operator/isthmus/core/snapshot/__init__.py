"""What the controller knows at one moment, and the conditions and events that it derives."""
