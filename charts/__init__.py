"""The Helm chart, and what generates parts of it. Not part of the installed package."""
