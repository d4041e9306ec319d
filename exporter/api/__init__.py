"""The provider's API: nothing else talks to it."""
