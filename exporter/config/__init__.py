"""The configuration: files and environment in, checked settings out."""
