"""The reverse process of diffusion models: schedules, its term, samplers, hooks, losses."""
