"""Calls that an endpoint answers within a day, for half the price."""
