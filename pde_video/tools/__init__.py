"""Tools: the demo, pictures to judge by, plots for teaching, the state of an installation."""
