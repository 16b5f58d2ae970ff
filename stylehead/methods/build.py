"""From settings to a method that is ready to train."""

from stylehead.methods.config import StylizeConfig
from stylehead.methods.contract import Method, Networks
from stylehead.methods.registry import method_class


def build_method(config: StylizeConfig, networks: Networks) -> Method[StylizeConfig]:
    """Build the method that the settings are of.

    Raises:
        UsageError: The settings do not fit the models.
        MissingError: A network that the method needs is not there.
    """
    return method_class(config.method)(config, networks)
