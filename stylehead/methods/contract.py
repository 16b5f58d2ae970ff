"""What a method is: its settings, the networks it needs, what it trains, and what it minimises.

A method is one file: a settings dataclass and a class. The trainer draws, renders and descends. Ten lines do:

    @dataclass(frozen=True, kw_only=True)
    class DarkSettings(StylizeConfig):
        '''Settings of dark.'''
        learning_rate: Positive = 1e-3  # a field that is declared again has another default
        dark_weight: Weight = 1.0
        '''Weight of darkness.'''

    class Dark(Method[DarkSettings]):
        '''Makes every head dark.'''
        name, title = "dark", "Darkness"

        def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
            image = scene.views["single"].final()
            return Terms(losses={"dark": self.config.dark_weight * image.mean()})

In this package its name goes into `registry.BUILT_IN`. Elsewhere a distribution names it in its entry points,

    [project.entry-points."stylehead.methods"]
    dark = "my_package:Dark"

and from Python `Stylizer(..., StylizeConfig.from_dict({"prompt": "night", "method": "dark"}))` finds it as
soon as the class is defined. One that needs frozen networks declares them in `needs`, finds them in
`self.networks`, and has `TeacherSettings` or `ImageTextSettings` among the bases of its settings; one
with `BankSettings` there is given `self.edits`. `ask.Distillation` holds what all that learn from a diffusion
model have in common.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar, get_args

import torch
from torch import Tensor, nn

from stylehead.errors import MissingError
from stylehead.generator import PanoHead, trainable_parameters
from stylehead.images import FeatureMaps
from stylehead.methods.config import BankSettings, ImageTextSettings, StylizeConfig, TeacherSettings
from stylehead.methods.draws import Sampling
from stylehead.methods.edited_views import EditedViews
from stylehead.methods.qualities import Timing
from stylehead.methods.registry import Variant, declare
from stylehead.methods.scene import Groups, Scene
from stylehead.perception.roles import ImageText
from stylehead.teacher import WITHOUT, Teacher

FaceVectors = Callable[[Tensor], Tensor]
"""Maps images [B, 3, H, W] in -1..1 to unit vectors [B, D] that agree for the same person, differentiably."""
DepthFunction = Callable[[Tensor], Tensor]
"""Maps images [B, 3, H, W] in -1..1 to inverse depth [B, 1, h, w], larger is nearer."""

S = TypeVar("S", bound=StylizeConfig)


class Networks(NamedTuple):
    """The frozen networks that a job has; None where there is none.

    Attributes:
        teacher: The diffusion model.
        features: Feature network of perceptual distances.
        depth_estimator: Monocular depth.
        image_text: The space in which pictures and texts are compared.
        faces: The identity encoder.
        latent_fraction: Pixels along the edge of a latent, of the autoencoder that belongs to the generator.
    """

    teacher: Teacher | None = None
    features: FeatureMaps | None = None
    depth_estimator: DepthFunction | None = None
    image_text: ImageText | None = None
    faces: FaceVectors | None = None
    latent_fraction: int = 8


class Cast(NamedTuple):
    """Whom an iteration shows, and from where, when the method chooses.

    Attributes:
        ws: Style vectors [K, num_ws, w_dim], in place of mapped random ones.
        labels: Cameras [K, views, 25] of the single views.
    """

    ws: Tensor
    labels: Tensor


class Needs(NamedTuple):
    """The frozen networks that a method needs, beside the untouched generator.

    Attributes:
        teacher: A diffusion model.
        controls: Its ControlNets, of `canny` and `depth`.
        depth_estimator: Monocular depth: `no`, `optional` (the renderer's own depth does, too) or `required`.
        image_text: A space of pictures and texts.
        faces: An identity encoder.
        features: A feature network for a perceptual distance.
        trunk: The network under LPIPS, where a preset has no feature network of its own.
        editor: A model that edits pictures by instruction.
        editing: The diffusion model is such a one.
    """

    teacher: bool = False
    controls: tuple[str, ...] = ()
    depth_estimator: Literal["no", "optional", "required"] = "no"
    image_text: bool = False
    faces: bool = False
    features: bool = False
    trunk: Literal["alex", "vgg"] = "alex"
    editor: bool = False
    editing: bool = False


@dataclass
class Terms:
    """What an iteration minimises: the sum of `scores` and `losses`.

    Attributes:
        scores: Surrogates that carry the teacher's gradients; their values mean nothing.
        losses: Weighted regularisers.
        gradient_rms: Root mean square of the gradient put on each stage's latents.
        finite: Whether each stage's score was finite, as a tensor; else zeros stand for it.
        stage_of: The stage of each loss that is made of a prediction and counts only if that is finite.
    """

    scores: dict[str, Tensor] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    gradient_rms: dict[str, Tensor] = field(default_factory=dict)
    finite: dict[str, Tensor] = field(default_factory=dict)
    stage_of: dict[str, str] = field(default_factory=dict)

    def add_predicted(self, stage: str, name: str, value: Tensor) -> None:
        """Add a loss that is made of a stage's prediction: 0 where that is not finite.

        Args:
            stage: Name of the stage, whose score was injected before.
            name: Of the loss.
            value: The weighed loss, finite even where the prediction is not.
        """
        self.losses[name], self.stage_of[name] = value * self.finite[stage], stage


class Method(ABC, Generic[S]):
    """A way to train a generator towards a prompt.

    A class names its settings in brackets, `Method[MySettings]`; one derived from a finished method names its
    own as the attribute `settings`.

    Args:
        config: The settings.
        networks: The frozen networks of the job.

    Raises:
        MissingError: A network that the method needs is not there.
    """

    name: ClassVar[str]
    """What `--method` takes."""
    title: ClassVar[str]
    """What tables print."""
    needs: ClassVar[Needs] = Needs()
    """The networks that it needs; where that depends on settings, `needed` returns them."""
    published: ClassVar[Mapping[str, Any]] = {}
    """What its authors did beyond the defaults, for the profiles `paper` and `release`."""
    full_scale: ClassVar[Mapping[str, Any]] = {}
    """What suits presets of the published size better than the defaults, which suit the embedded one."""
    settings: ClassVar[type[StylizeConfig]]
    """Its settings class."""
    ablation: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """The ladder of an ablation: what rows are called, and how their settings differ from the defaults."""
    qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings of `--quality quick`, `good` and `best` over the embedded models, or none."""
    full_scale_qualities: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """The same for presets of the published size."""
    pace: ClassVar[Timing | None] = None
    """How long it takes over the embedded models, if that is known."""
    betas: ClassVar[tuple[float, float]] = (0.9, 0.999)
    """Adam's decay rates."""

    edits: EditedViews | None = None
    """The edits of its bank: of a method whose settings are `BankSettings`, given before the steps."""
    carried: tuple[Tensor, ...] | None = None
    """What it carries from one iteration to the next, or None; checkpoints hold it."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        named = [arg for base in vars(cls).get("__orig_bases__", ()) for arg in get_args(base)]
        for arg in named:
            if isinstance(arg, type) and issubclass(arg, StylizeConfig):
                cls.settings = arg
        if "name" in vars(cls):
            _bind(cls)

    def __init__(self, config: S, networks: Networks | None = None) -> None:
        self.config, self.networks = config, networks or Networks()
        _require(self.needed(config), self.networks, self)

    @classmethod
    def needed(cls, config: S) -> Needs:
        """Return the networks that it needs with these settings."""
        return cls.needs

    @classmethod
    def profile(cls, name: str) -> dict[str, Any]:
        """Return in what a profile, `default`, `paper` or `release`, differs from the defaults."""
        return {} if name == "default" else dict(cls.published)

    @classmethod
    def variants(cls) -> tuple[Variant, ...]:
        """Return its rows in tables: one, unless its settings make several systems of it."""
        return (Variant(cls.name, cls.title),)

    @classmethod
    def variant_of(cls, config: S) -> str:
        """Return the name of the row that a run with these settings belongs to."""
        return cls.name

    @property
    def patience(self) -> int:
        """Iterations without a lower loss after which nothing improves; 0 where losses say no such thing."""
        return 0

    # ------------------------------------------------------------------------------------- what it trains

    def trained(self, generator: PanoHead) -> dict[str, nn.Parameter]:
        """Name the parameters that training may change."""
        return dict(trainable_parameters(generator))

    def updated(
        self, generator: PanoHead, reference: PanoHead, *, rng: torch.Generator
    ) -> Sequence[str] | None:
        """Name those of them that the coming iteration updates; None: all.

        Args:
            generator: The network as it is now.
            reference: The untouched one.
            rng: Source of whatever is drawn for the choice, on the networks' device.
        """
        return None

    # ---------------------------------------------------------------------------------- what is rendered

    @property
    def sampling(self) -> Sampling:
        """The ranges that noise levels and the grid's cameras are drawn from."""
        return Sampling()

    def groups(self) -> Groups:
        """Return the groups of views of the trained generator that the terms need: here the single views."""
        return {"single": True}

    def reference_groups(self) -> Groups:
        """Return the groups of views of the reference that the terms need: here none."""
        return {}

    def rehearse(self, reference: PanoHead) -> None:
        """Get ready for steps whose time or memory is all that matters, if that takes more than networks."""

    def cast(self, *, rng: torch.Generator) -> Cast | None:
        """Choose whom the coming iteration shows, and from where; None leaves it to the trainer.

        Args:
            rng: Source of every choice, on the CPU; a resumed run goes on with it.
        """
        return None

    def narrowed(self, cast: Cast, people: slice) -> Cast:
        """Keep some of the people that were cast: several processes share them.

        Args:
            cast: What `cast` returned.
            people: Which of them are this process's.
        """
        return Cast(cast.ws[people], cast.labels[people])

    @abstractmethod
    def terms(self, scene: Scene, *, rng: torch.Generator) -> Terms:
        """Compute what this iteration minimises.

        Args:
            scene: Renders of this iteration.
            rng: Source of whatever is drawn here, on the networks' device.
        """


def _bind(cls: type[Method[Any]]) -> None:
    """Tie a method and its settings together, and make the method known by its name."""
    kind = getattr(cls, "settings", StylizeConfig)
    if "prompt" not in getattr(kind, "__dataclass_fields__", ()) or kind is StylizeConfig:
        raise TypeError(f"{cls.__name__} needs settings of its own: Method[a dataclass from StylizeConfig]")
    if cls.needs.teacher and not issubclass(kind, TeacherSettings):
        raise TypeError(
            f"{kind.__name__} must derive from TeacherSettings, as {cls.__name__} needs a teacher"
        )
    if cls.needs.image_text and not issubclass(kind, ImageTextSettings):
        raise TypeError(f"{kind.__name__} must derive from ImageTextSettings: {cls.__name__} compares texts")
    if cls.needs.editor and not issubclass(kind, BankSettings):
        raise TypeError(f"{kind.__name__} must derive from BankSettings, as {cls.__name__} learns from edits")
    if vars(kind).get("method", cls.name) != cls.name:
        raise TypeError(f"{kind.__name__} are the settings of {kind.method}; {cls.__name__} needs its own")
    kind.method = cls.name
    declare(cls)


def _require(needs: Needs, networks: Networks, method: Method[Any]) -> None:
    """Refuse a job that lacks a network.

    Raises:
        MissingError: One is not there; the hint is how to get it or to do without it.
    """
    if needs.teacher and networks.teacher is None:
        raise MissingError(f"The method {method.name} needs a teacher.", "--diffusion FOLDER")
    for kind in needs.controls:
        if networks.teacher is not None and kind not in networks.teacher.kinds:
            raise MissingError(f"This teacher has no `{kind}` ControlNet.", WITHOUT.get(kind))
    if needs.features and networks.features is None:
        raise MissingError("The perceptual distance needs a feature network.", "--perceptual-weight 0")
    if needs.depth_estimator == "required" and networks.depth_estimator is None:
        raise MissingError("There is no depth estimator.", "--depth rendered")
    if needs.image_text and networks.image_text is None:
        raise MissingError(f"{method.title} needs an image-text network.", "--clip FOLDER")
    if needs.faces and networks.faces is None:
        raise MissingError(
            "There is no identity encoder here that gradients can pass through.",
            "--identity-weight 0",
        )
