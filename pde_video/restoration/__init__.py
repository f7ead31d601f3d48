"""Restoration: filling what is damaged or missing."""
