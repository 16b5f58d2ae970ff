"""Networks that look at pictures: who is in them, what they show, how far away it is, in which style."""
