"""What the lab's CPU engine is made from: the lock of its packages and the writer of its tiny model."""
