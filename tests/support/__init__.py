"""What several kinds of tests share. fixtures.py lists what a test can ask for."""
