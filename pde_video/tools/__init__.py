"""The demo, comparison pictures, plots for teaching, and the state of an installation."""
