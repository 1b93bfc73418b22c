"""Accounts: people, tokens, blocks."""
