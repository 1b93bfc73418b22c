"""What is on the screen: each view shows a part of the state and calls actions."""
