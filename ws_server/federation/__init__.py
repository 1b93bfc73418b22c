"""Links to other realms: authentication, and replication of messages in both directions."""
