"""Networks in torch, for training; the base install runs their exported files."""
