"""The viewer's server: a panel for every visitor, until it is stopped."""

import threading
from typing import Any

from stylehead.geometry import DEFAULT_RADIUS
from stylehead.viewer.follow import Follower
from stylehead.viewer.guard import open_server
from stylehead.viewer.panel import FIELD_OF_VIEW_RAD, Panel
from stylehead.viewer.shared_generator import SharedGenerator

NEAREST, FARTHEST = 0.4, 2.0
"""How near and far the mouse's wheel goes, in parts of the usual distance."""


class Viewer:
    """A running viewer.

    Args:
        stage: What it shows.
        host: Address to listen on.
        port: Its port; 0 takes a free one.
        follower: A training to follow.

    Raises:
        MissingError: viser is not installed.
        UsageError: The port cannot be had.
    """

    def __init__(
        self, stage: SharedGenerator, host: str, port: int, follower: Follower | None = None
    ) -> None:
        self._stage, self._follower, self._panels = stage, follower, dict[int, Panel]()
        self._lock = threading.Lock()
        self.server = server = open_server(host, port)
        self._host = host
        server.gui.configure_theme(show_logo=False, show_share_button=False, dark_mode=False)
        server.gui.set_panel_label("stylehead")
        server.gui.main_panel.dock_right()  # beside the head, not over it
        server.scene.set_up_direction("+y")
        start = server.initial_camera
        start.position, start.look_at = (0.0, 0.0, DEFAULT_RADIUS), (0.0, 0.0, 0.0)
        start.up, start.fov = (0.0, 1.0, 0.0), FIELD_OF_VIEW_RAD
        if follower is not None:
            follower.show(server.gui)
        server.on_client_connect(self._arrived)
        server.on_client_disconnect(self._left)

    @property
    def address(self) -> str:
        """Where its page is."""
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{name}:{self.server.get_port()}"

    def run(self, stopped: threading.Event) -> None:
        """Serve until an event is set, looking at the training that is followed now and then."""
        while not stopped.wait(2.0):
            if self._follower is not None and self._follower.look(self._stage):
                for panel in self._every_panel():
                    panel.redraw()

    def close(self) -> None:
        """Stop listening."""
        for panel in self._every_panel():
            panel.close()
        self.server.stop()

    def _every_panel(self) -> list[Panel]:
        with self._lock:
            return list(self._panels.values())

    def _arrived(self, client: Any) -> None:
        client.camera.min_orbit_distance = NEAREST * DEFAULT_RADIUS
        client.camera.max_orbit_distance = FARTHEST * DEFAULT_RADIUS
        panel = Panel(self._stage, client)
        with self._lock:
            self._panels[client.client_id] = panel

    def _left(self, client: Any) -> None:
        with self._lock:
            panel = self._panels.pop(client.client_id, None)
        if panel is not None:
            panel.close()
