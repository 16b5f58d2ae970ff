"""What the processes of a run do that do not write: they train their part of the people, step by step.

The first process has the run's folder, speaks and draws; it tells the others what they need to know.
"""

from stylehead.jobs import environment
from stylehead.jobs.arguments import StylizeArguments
from stylehead.jobs.banking import is_refreshed
from stylehead.jobs.report import Silent
from stylehead.jobs.signals import StopRequest
from stylehead.jobs.stylize import open_job, stylizer_of
from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.parallel import join_crew, leave_crew


def follow(arguments: StylizeArguments) -> None:
    """Train as one of several processes that is not the first; nothing is written or said.

    Raises:
        JobError: The first process is gone.
    """
    crew = join_crew(None, environment.choose_device(arguments.device))
    try:
        told = crew.told(None)
        config = StylizeConfig.from_dict(told["config"])
        stylizer = stylizer_of(open_job(config, arguments, Silent(), preset=told["preset"]))
        stylizer.crew = crew
        if (state := crew.told(None)) is not None:
            stylizer.load_state_dict(state)
        _take_edits(stylizer)
        with StopRequest(lambda: None) as stop:
            for record in stylizer:
                if crew.any(stop.asked):
                    break
                if is_refreshed(config, record.iteration):
                    _take_edits(stylizer)
    finally:
        leave_crew()


def _take_edits(stylizer: Stylizer) -> None:
    """Learn from the edits that the first process has, if its method learns from any."""
    edits = stylizer.crew.told(None)
    if edits is not None:
        stylizer.method.edits = edits
