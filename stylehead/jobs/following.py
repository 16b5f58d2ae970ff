"""What the processes of a run do that do not write: they train their part of the people, step by step.

The first process has the run's folder, speaks and draws; it tells the others what they need to know.
"""

from typing import TYPE_CHECKING

from stylehead.methods import Stylizer
from stylehead.methods.config import StylizeConfig
from stylehead.methods.parallel import Crew, join_crew, leave_crew

if TYPE_CHECKING:
    from stylehead.jobs.arguments import StylizeArguments
    from stylehead.jobs.training import Job


def lead(job: "Job") -> Crew:
    """Meet the other processes, if there are any, and tell them what is trained.

    Raises:
        UsageError: The settings are not for several processes.
        JobError: The others do not come.
    """
    crew = join_crew(job.config, job.device)
    crew.told({"config": job.config.to_dict(), "preset": job.preset.name})
    return crew


def tell_followers(stylizer: Stylizer) -> None:
    """Tell the others where the run stands, and what its method learns from beside networks."""
    if stylizer.crew.size > 1:
        stylizer.crew.told(stylizer.state_dict() if stylizer.iteration else None)
        tell_edits(stylizer)


def tell_edits(stylizer: Stylizer) -> None:
    """Tell the others the edits of the coming steps."""
    stylizer.crew.told(stylizer.method.edits)


def follow(arguments: "StylizeArguments") -> None:
    """Train as one of several processes that is not the first; nothing is written or said.

    Raises:
        JobError: The first process is gone.
    """
    from stylehead.jobs import environment
    from stylehead.jobs.banking import is_refreshed
    from stylehead.jobs.report import Silent
    from stylehead.jobs.signals import StopRequest
    from stylehead.jobs.stylize import load_stylizer, open_job

    crew = join_crew(None, environment.choose_device(arguments.device))
    try:
        told = crew.told(None)
        config = StylizeConfig.from_dict(told["config"])
        stylizer = load_stylizer(open_job(config, arguments, Silent(), preset=told["preset"]))
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
