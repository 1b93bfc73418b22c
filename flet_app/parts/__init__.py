"""Controls of which the views are made; they know nothing of the state around them."""
