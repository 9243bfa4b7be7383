"""Predictions, their metrics, and their uncertainty."""
