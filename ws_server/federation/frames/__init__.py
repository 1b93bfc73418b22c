"""What goes over a link: each kind of frame, row and question is declared once, here."""
