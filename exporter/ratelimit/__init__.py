"""Whether a request may be sent now. Nothing else decides it."""
