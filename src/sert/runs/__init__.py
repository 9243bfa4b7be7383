"""Runs and grids: planning, making, verifying."""
