"""Estimates of parameters: noise, contrast, stopping time, scene cuts."""
