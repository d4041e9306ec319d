"""What the exporter costs, measured side by side with its peers: ``make bench``."""
