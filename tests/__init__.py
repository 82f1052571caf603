"""Tests mirror the package: tests/test_NAME.py is for mien.NAME."""
