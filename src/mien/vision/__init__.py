"""Pictures: read, found, cut to faces, and divided into regions."""
