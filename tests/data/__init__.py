"""Tests of mien.data: every reader is tried on a tiny tree in its real layout."""
