"""Rationales of a teacher."""
