"""Every network that a recipe can name, one file per family."""
