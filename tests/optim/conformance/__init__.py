"""Every method of descent on problems whose answers are known, and what all of them have in common."""
