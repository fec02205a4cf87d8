"""The `fleet` command. It reads files and prints."""
