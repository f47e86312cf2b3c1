"""Real servers on loopback for the tests that reach over a network: S3, a Hub, the web, and faults between."""
