"""Filters: one application a file, and the decorator that lets each answer in kind."""
