"""The shell of the command line: output, --json, exit codes, commands loaded when called."""
