"""A link between two realms that have proven their keys."""
