"""Training of a recipe with PyTorch Lightning; nothing here is imported without the train extra."""
