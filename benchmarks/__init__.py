"""Measurements of speed, size and exactness, written as JSON and Markdown."""
