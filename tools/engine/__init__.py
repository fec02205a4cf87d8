"""What the lab's engine serves: the writer of its tiny model."""
