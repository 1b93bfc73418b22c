"""What the store keeps for other realms: outbox, replicas, trust."""
