"""Prometheus exporter for the SMS Partner API."""

__version__ = "0.1.0"
