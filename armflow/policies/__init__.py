from armflow.policies.policy import Controller

__all__ = ["Controller"]
