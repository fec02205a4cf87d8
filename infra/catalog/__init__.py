"""What is known of devices and models, as data files with their sources; adding one needs no code."""
