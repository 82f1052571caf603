"""Tests of mien.train; all of them need the train extra."""
