"""The data sets that Mien reads, one module each; registering needs nothing but the file."""
