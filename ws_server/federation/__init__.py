"""Links to other realms: proving who one is, carrying messages both ways, and losing none."""
