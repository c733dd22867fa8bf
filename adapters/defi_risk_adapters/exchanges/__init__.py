"""Readers of accounts at centralised exchanges, one module an exchange; `common` is what they share."""
