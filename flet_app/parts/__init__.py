"""Controls that the views are built of; they do not know the state."""
