"""The settings: the only place that reads the environment and an optional `.env` file.

Each setting says its default, its unit, what it may be and what it means; the reference in
`docs/configuration.md` is generated from these declarations.
"""

from dpdau.config.descriptions import SettingDescription, describe_settings
from dpdau.config.loading import env_file, load_settings
from dpdau.config.settings import Settings

__all__ = ["SettingDescription", "Settings", "describe_settings", "env_file", "load_settings"]
