"""Tenants, their machines, and traffic between them."""
