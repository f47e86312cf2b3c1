"""When to look again: source sensors, automation, failures."""
