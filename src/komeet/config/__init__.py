"""The YAML file: schema, loading, and what is used when there is none."""
