"""How two realms meet: dialling, and the proof of their keys."""
