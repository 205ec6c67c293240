"""What helps to come to Komeet and to try it out: no call ever passes through here."""
