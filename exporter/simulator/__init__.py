"""A simulated SMS Partner API, for the demo and the tests."""
