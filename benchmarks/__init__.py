"""Measurements of speed against rivals; never part of the package."""
