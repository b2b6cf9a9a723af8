"""Analyses of trained networks: what was recorded, what is computed from it, and its page."""
