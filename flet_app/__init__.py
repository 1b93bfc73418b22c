"""The app: a live chat on the desktop and in the browser."""
