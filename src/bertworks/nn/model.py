"""An encoder with its heads."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bertworks.batch import Array
from bertworks.errors import SettingsError
from bertworks.nn.encoder import Encoder, EncoderOutput
from bertworks.nn.heads import Head
from bertworks.nn.inputs import ModelInputs
from bertworks.nn.layer import End
from bertworks.nn.norm import Norm
from bertworks.nn.relations import RelationHead
from bertworks.nn.vectors import VectorHead
from bertworks.spec import EncoderSpec, HeadSpec, RelationSpec, VectorSpec

AnyHead = Head | VectorHead | RelationHead
AnyHeadSpec = HeadSpec | VectorSpec | RelationSpec

_END_READ: dict[str, End] = {"first": "first", "pooled": "first", "last": "last"}


class Model(nn.Module):
    """`encoder` and `heads` by name. Parameters are float32; the dtype of the computation is set by `compute_in`."""

    def __init__(self, spec: EncoderSpec, heads: Mapping[str, AnyHeadSpec] | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec)
        self.heads = nn.ModuleDict({name: _build(head, spec) for name, head in (heads or {}).items()})

    def compute_in(self, dtype: torch.dtype) -> "Model":
        """Sets the dtype of hidden states and products; the parameters stay float32."""
        self.encoder.compute_dtype = dtype
        return self

    def forward(self, inputs: ModelInputs) -> dict[str, Float[Tensor, "rows outputs"]]:
        """The scores of each head (`Head.forward`)."""
        heads = [head for _, head in self.heads_of_encoder()]
        every = any(isinstance(head.spec, VectorSpec) and head.spec.layers_from is not None for head in heads)
        watched = [len(self.spec.layers) - 1] if any(isinstance(head, RelationHead) for head in heads) else []
        return self.scores(self.encoder(inputs, ends=self._ends_read(), hidden_states=every, attentions=watched), inputs)

    def _ends_read(self) -> End | None:
        """Where all heads read the same end of each sequence: that end, if the encoder can compute it alone."""
        ends = {_END_READ.get(head.spec.reads) for _, head in self.heads_of_encoder()}
        end = ends.pop() if len(ends) == 1 else None
        return end if end is not None and self.encoder.may_compute_only(end) else None

    def scores(self, encoded: EncoderOutput, inputs: ModelInputs) -> dict[str, Float[Tensor, "rows outputs"]]:
        first_site = self.encoder.next_dropout_site
        weight = self.encoder.embeddings.token.weight
        return {name: head(encoded, inputs, name, weight, first_site + 2 * i) for i, (name, head) in enumerate(self.heads_of_encoder())}

    def next_scores(self, inputs: ModelInputs, name: str) -> Float[Tensor, "sequences vocabulary"]:
        """What a language model's head `name` says of the token that follows each sequence, in float32."""
        head = self.heads[name]
        assert isinstance(head, Head)
        last = self.encoder(inputs, ends="last").at("last", inputs.layout).float()
        return head.score(last, None, self.encoder.embeddings.token.weight, 0)

    def head_items(self) -> list[tuple[str, AnyHead]]:
        """The heads whose scores `forward` gives, with their names."""
        return self.heads_of_encoder()

    def heads_of_encoder(self) -> list[tuple[str, AnyHead]]:
        """Those that read the encoder."""
        return [(name, head) for name, head in self.heads.items() if isinstance(head, AnyHead)]

    def initialize(self, seed: int, only: set[str] | None = None) -> None:
        """Draws new weights: normal with the description's standard deviation, biases 0, gains 1.

        `only` restricts this to the named parameters. Each parameter's numbers depend on the seed and on its own
        name, so a new head is the same whatever else is initialized.
        """
        norms = {f"{name}.weight" for name, module in self.named_modules() if isinstance(module, Norm)}
        for name, parameter in self.named_parameters():
            if only is not None and name not in only:
                continue
            with torch.no_grad():
                if name.endswith("bias") or name in norms:
                    parameter.fill_(1.0 if name in norms else 0.0)
                else:
                    key = np.random.SeedSequence([seed, *name.encode()])
                    values = np.random.Generator(np.random.PCG64(key)).standard_normal(parameter.shape, dtype=np.float32)
                    parameter.copy_(torch.from_numpy(values * self.spec.initializer_range))

    def arrays(self) -> dict[str, Array]:
        """All parameters by name, as NumPy arrays that share no memory with the model."""
        return {name: parameter.detach().cpu().numpy().copy() for name, parameter in self.named_parameters()}

    def set_arrays(self, arrays: Mapping[str, Array]) -> None:
        """Copies arrays into the parameters of the same names; the others stay as they are."""
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, values in arrays.items():
                own[name].copy_(torch.from_numpy(np.array(values)))

    def reinitialize_top(self, layers: int, seed: int) -> None:
        """Draws the top `layers` layers, and the pooler, anew (Zhang et al. 2021, section 4)."""
        count = len(self.encoder.layers)
        if layers > count:
            raise SettingsError(f"reinitialized_layers is {layers}, but the model has {count} layers")
        prefixes = tuple(f"encoder.layers.{i}." for i in range(count - layers, count)) + (("encoder.pooler.",) if layers else ())
        self.initialize(seed, only={name for name, _ in self.named_parameters() if name.startswith(prefixes)} if prefixes else set())


def _build(head: AnyHeadSpec, spec: EncoderSpec) -> AnyHead:
    if isinstance(head, RelationSpec):
        return RelationHead(head)
    return VectorHead(head, spec.hidden, len(spec.layers)) if isinstance(head, VectorSpec) else Head(head, spec.hidden)
