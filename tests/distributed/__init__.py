"""Trainings on several replicas and workers, each in processes of its own."""
