"""What estimates the clean picture: adapters of models, a PDE, the shipped network."""
