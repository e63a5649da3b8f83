"""Load what TARGET and SAMPLE name: models, attributes, inputs."""
