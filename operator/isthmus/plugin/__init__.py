"""`kubectl isthmus`: shows and operates this cloud's federation, with the standard library and the user's kubectl."""
