"""Training of the built-in model, from the data to the files that the package ships."""
