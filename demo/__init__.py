"""`make demo`: what an administrator and a tenant type, and what they see, on two real clouds."""
