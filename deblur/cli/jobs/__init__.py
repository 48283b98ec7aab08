"""The work behind the commands; each file is imported when its command runs, since it needs torch."""
