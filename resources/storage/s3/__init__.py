"""Amazon S3 and compatible servers: the backend of ``s3://``."""
