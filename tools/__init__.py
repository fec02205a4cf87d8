"""What brings this computer to a ready state (`setup`) and drives a stack (`stack`); the Makefile calls both."""
