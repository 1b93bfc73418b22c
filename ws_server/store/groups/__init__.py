"""Groups hosted here: members, rules, history."""
