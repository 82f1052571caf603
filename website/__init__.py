"""The documentation's site: what MkDocs asks while it builds the pages of ``docs``."""
