"""The ``mien`` command: one file per subcommand, a thin skin over the Python interface."""
