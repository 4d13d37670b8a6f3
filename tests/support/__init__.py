"""What several test files use: homes, domain cases and the command line."""
