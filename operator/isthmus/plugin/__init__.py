"""`kubectl isthmus`: shows the state of this cloud's federation, with the standard library and the user's kubectl."""
