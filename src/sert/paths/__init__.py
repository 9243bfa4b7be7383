"""Paths mined from the student: mining, the rules that filter them, the selection."""
