"""Finished runs: their recipes, scores and reports, and the models that they hold."""
