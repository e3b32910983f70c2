from armflow.envs.registration import register_all

__all__ = ["register_all"]

register_all()
