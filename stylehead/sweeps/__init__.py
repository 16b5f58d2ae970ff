"""Many jobs on many workers: what is to be run, on what, and how it comes along.

A task names a function and its plain arguments, an engine has workers that call it, and the driver sees that
every task comes to its end whatever happens to a worker. Engines and driver do not know what a task does.
"""

from stylehead.sweeps.driver import Driver
from stylehead.sweeps.engine import Ended, Engine, Task
from stylehead.sweeps.local import LocalEngine

__all__ = ["Driver", "Ended", "Engine", "LocalEngine", "Task"]
