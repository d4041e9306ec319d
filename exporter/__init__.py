"""Prometheus exporter for the SMS Partner API."""

__version__ = "0.2.0"
