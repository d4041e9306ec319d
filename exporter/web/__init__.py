"""HTTP, TLS and logins."""
