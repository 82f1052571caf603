"""Models: a network with its card; networks of torch are in :mod:`mien.models.torch`."""
