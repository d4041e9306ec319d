"""Past months, fetched once."""
