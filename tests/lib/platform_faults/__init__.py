"""Faults that are planted in a running platform, each with what the doctor has to find of it, and its way back; a file for each layer."""

from __future__ import annotations

from lib.platform_faults import backup, files, host, mlflow, postgresql, services, storage, supervisor, tls
from lib.platform_faults.planting import Fault

# in the order that they are planted: the last takes everything down
LAYERS = (services, files, host, tls, postgresql, storage, mlflow, backup, supervisor)
FAULTS = {name: one for layer in LAYERS for name, one in vars(layer).items() if isinstance(one, Fault)}
