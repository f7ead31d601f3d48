"""The equations, one per file, each with its rate, its stable step and its solve."""
