"""Which explanation to trust: every method on the same faces, measured.

:func:`mien.judging.judge.judge` does the work; ``mien judge`` is its command.
"""
