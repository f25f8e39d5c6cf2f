"""`pretrain`: from a prepared corpus to an encoder."""

import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from bertworks.batch import PackedBatch
from bertworks.checkpoints.atomic import atomic_folder
from bertworks.checkpoints.files import read_json, write_json
from bertworks.checkpoints.hub import resolve
from bertworks.data.corpus.corpus import Corpus
from bertworks.data.corpus.plans import COPY, NoPairsError
from bertworks.data.corpus.sequences import Sequences
from bertworks.data.corpus.shards import Shard
from bertworks.errors import DataError, SettingsError
from bertworks.estimators import model_folder, runs
from bertworks.estimators.fingerprints import fingerprint_of_model
from bertworks.estimators.pretraining.batches import PretrainingBatches, mean_share, prepared
from bertworks.estimators.pretraining.config import PretrainingConfig, ReplacedTokenSettings
from bertworks.estimators.pretraining.generator import joined, make_generator
from bertworks.inference import LoadedModel, load_model, save_model
from bertworks.inference.models import begin_with_frequencies, new_model, repeat_positions, without_heads
from bertworks.inference.teacher import AttentionTeacher, WordTeacher
from bertworks.tasks.attention_relations import ATTENTION_RELATIONS, AttentionRelations
from bertworks.tasks.distillation import DISTILLATION, Distillation
from bertworks.tasks.fill_mask import FillMask
from bertworks.tasks.masked_lm import MASKED_LM, MaskedLM
from bertworks.tasks.masking import IGNORED, Masking
from bertworks.tasks.next_sentence import NextSentence, SentenceOrder
from bertworks.tasks.pretraining import Objective, Pretraining
from bertworks.tasks.replaced_tokens import REPLACED_TOKEN_DETECTION, ReplacedTokenDetection
from bertworks.tasks.text_overlap import TEXT_OVERLAP, TextOverlap
from bertworks.tokenization import Tokenizer
from bertworks.training import train
from bertworks.training.distributed import Processes, choose_together, processes
from bertworks.training.progress import Progress, StepReport
from bertworks.training.run import RunFolder

_EVALUATION_SEED = 1_000_003
"""Held-out text is cut and masked by this seed, always in the same way."""
_GENERATOR = "generator"
"""Where a generator lies in the run folder, beside the model."""
_SECOND_TEXTS = {0: "the true next one", 1: "not the next one", COPY: "a changed copy of the first"}
_TIMED_STEPS = 6
_SAMPLE_TOKENS = 60


@dataclass(frozen=True)
class PretrainReport:
    """What a pretraining left behind."""

    folder: Path
    """The run folder."""
    metrics: dict[str, Any] | None
    """All metrics on held-out text; None where the corpus holds none out."""
    steps: int
    tokens: int
    """Tokens trained on."""
    seconds: float
    """Time spent in training, over all sessions of the run."""
    was_finished: bool = False

    @property
    def model(self) -> Path:
        """The folder of the finished model."""
        return self.folder / "model"

    @property
    def generator(self) -> Path | None:
        """The folder of the generator, where replaced tokens were detected."""
        folder = self.folder / _GENERATOR
        return folder if folder.exists() else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as metrics.json and `--json` have them."""
        numbers = {"steps": self.steps, "tokens": self.tokens, "seconds": self.seconds}
        return {"folder": str(self.folder), "model": str(self.model), "held_out": self.metrics, **numbers}


def pretrain(
    config: PretrainingConfig | Mapping[str, Any] | str | Path | None = None,
    *,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    progress: Progress | None = None,
) -> PretrainReport:
    """Pretrains an encoder on a prepared corpus; everything is kept in a run folder.

    `config` is a `PretrainingConfig`, the same as a dictionary, or a TOML file (`config.py` shows its tables). `output`
    is the run folder, by default the next free `runs/pretraining-<n>`. With `resume`, the run in that folder goes on
    with its own configuration, and ends in the same bits as one that was never interrupted (CPU, same number of
    threads), masks and pairs included.

    Several processes that `torchrun` starts pretrain together (`training/distributed.py`); `output` must be named then.
    As such a command is given once for many beginnings, it goes on with a run of the same configuration in `output`.

    Raises `SettingsError` for a wrong configuration, `DataError` where the corpus does not fit it, `Interrupted` after
    Ctrl-C, once the state is saved.
    """
    with processes() as group:
        begun = group.from_first(lambda: _begun(config, output, resume, launched=group.launched))
        folder = Path(begun["folder"])
        if begun["finished"]:
            return PretrainReport(folder, **begun["finished"], was_finished=True)
        chosen = PretrainingConfig.from_dict(begun["config"])
        return _Pretraining(chosen, progress or Progress(), group).run(folder, begun["resumed"])


def _begun(
    config: PretrainingConfig | Mapping[str, Any] | str | Path | None, output: str | Path | None, resume: str | Path | None, launched: bool
) -> dict[str, Any]:
    """The configuration and the folder of a run, whether it goes on, and its results if it is finished."""
    if resume is None:
        if config is None:
            raise SettingsError("there is nothing to pretrain by: name a configuration (a TOML file)")
        if launched and output is None:
            raise SettingsError("torchrun may begin the same run several times: name its folder (--output)")
        chosen = _as_config(config).placed()
        folder = runs.free_name(Path("runs") / "pretraining") if output is None else Path(output)
        if not (launched and (folder / runs.SETTINGS).exists()):
            RunFolder.require_new(folder)  # before a model is made, and its steps are timed
            return {"config": chosen.to_dict(), "folder": str(folder), "resumed": False, "finished": None}
        if not chosen.describes(_stored_config(folder)):
            raise SettingsError(f"{folder} holds a run of another configuration: choose another folder, or delete it")
    elif config is not None or output is not None:
        raise SettingsError("a run is resumed with its own configuration: leave out config and output")
    else:
        folder = Path(resume)
    finished = None
    stored = _stored_config(folder)
    if runs.is_finished(folder):
        results = read_json(folder / runs.METRICS)
        finished = {"metrics": results["held_out"], **{name: results[name] for name in ("steps", "tokens", "seconds")}}
    return {"config": stored.to_dict(), "folder": str(folder), "resumed": True, "finished": finished}


def _stored_config(folder: Path) -> PretrainingConfig:
    return PretrainingConfig.from_dict(runs.read_settings(folder, table="pretraining")["pretraining"])


def _as_config(config: PretrainingConfig | Mapping[str, Any] | str | Path) -> PretrainingConfig:
    if isinstance(config, PretrainingConfig):
        return config
    return PretrainingConfig.from_dict(config) if isinstance(config, Mapping) else PretrainingConfig.read(config)


class _Pretraining:
    """All that a configuration stands for."""

    def __init__(self, config: PretrainingConfig, progress: Progress, group: Processes | None = None) -> None:
        self.group = group or Processes()
        self.config, self.progress = config, progress if self.group.first else Progress()
        progress = self.progress
        self.corpus = Corpus.open(Path(config.corpus.path))
        self.tokenizer = self.corpus.tokenizer
        progress.facts("corpus", [f"{self.corpus.folder}: {line}" for line in self.corpus.accounting.lines()[:1]])
        start = None if config.model.start is None else resolve(config.model.start)
        vocabulary = self._vocabulary(start)
        self.training = config.training.training_config(config.model.dropout)
        self.machine = choose_together(self.group, self.training)
        self.teachers = self._teachers()
        self.task = Pretraining(self._objectives(vocabulary, config.training.seed))
        self.generator: LoadedModel | None = None
        self.loaded = self._model(start, vocabulary)
        self.sequences = self._sequences(self.corpus.shards, config.training.seed)

    def _vocabulary(self, start: Path | None) -> int:
        """The ids that the model knows: the tokenizer's, rounded up, or those of the model that is gone on from."""
        if start is None:
            multiple = self.config.model.vocabulary_multiple
            return -(-self.tokenizer.vocabulary_size // multiple) * multiple
        own = Tokenizer.load(start)
        if own.fingerprint() != self.tokenizer.fingerprint():
            raise DataError(
                f"the corpus was not prepared with the tokenizer of '{self.config.model.start}': prepare it again with that "
                f"(bertworks corpus prepare … --tokenizer {self.config.model.start})"
            )
        return load_model(start).model.spec.embedding.vocabulary

    def _teachers(self) -> dict[str, tuple[Any, str]]:
        """Of each objective that has one: the encoder to learn from, and its fingerprint."""
        out: dict[str, tuple[Any, str]] = {}
        for name, settings in self.config.objectives.items():
            if settings.teacher is None:
                continue
            folder = resolve(settings.teacher)
            loaded, tokenizer = load_model(folder), Tokenizer.load(folder)
            if name == DISTILLATION:
                teacher: Any = WordTeacher(loaded.model, tokenizer, self.tokenizer, self.machine)
            elif tokenizer.fingerprint() != self.tokenizer.fingerprint():
                raise DataError(
                    f"[objectives.{name}] learns token by token, but the corpus was not prepared with the tokenizer of "
                    f"'{settings.teacher}': prepare it again with that, or use distillation, which goes by words"
                )
            else:
                teacher = AttentionTeacher(loaded.model, self.machine)
            out[name] = teacher, fingerprint_of_model(loaded.model)
        return out

    def _objectives(self, vocabulary: int, seed: int, *, held_out: bool = False) -> list[Objective]:
        """The objectives; those that must see the text before others hide some of it come first."""
        out: list[Objective] = []
        whole = {*self.teachers, TEXT_OVERLAP}
        for name, settings in sorted(self.config.objectives.items(), key=lambda item: item[0] not in whole):
            if name == DISTILLATION:
                out.append(Distillation(self.teachers[name][0], settings.weight))
            elif name == ATTENTION_RELATIONS:
                out.append(AttentionRelations(self.teachers[name][0], settings.weight))
            elif name == TEXT_OVERLAP:
                out.append(TextOverlap(self.tokenizer, settings.weight))
            elif name in (MASKED_LM, REPLACED_TOKEN_DETECTION):
                # held-out text is always masked alike, so that losses of different recipes compare
                masking = Masking(seed=_EVALUATION_SEED) if held_out else settings.masking(seed)
                detects = name == REPLACED_TOKEN_DETECTION  # what is masked then is the generator's to learn
                out.append(MaskedLM(self.tokenizer, masking, vocabulary=vocabulary, weight=1.0 if detects else settings.weight))
                out += [ReplacedTokenDetection(seed, settings.weight)] if detects else []
            else:
                out.append((NextSentence if name == "next_sentence" else SentenceOrder)(settings.weight))
        return out

    def _model(self, start: Path | None, vocabulary: int) -> LoadedModel:
        detection = self.config.objectives.get(REPLACED_TOKEN_DETECTION)
        of_generator = () if detection is None else (MASKED_LM,)
        heads = {name: head for name, head in self.task.heads.items() if name not in of_generator}
        if start is not None:
            loaded = load_model(start, heads, new_heads=True, seed=self.config.training.seed, dropout=self.config.model.dropout)
            self.progress.facts("model", loaded.report.lines())
            if self.config.model.learnt_positions is not None:
                repeat_positions(loaded, self.config.model.learnt_positions)
        else:
            loaded = new_model(self.config_json(vocabulary), heads, seed=self.config.training.seed)
            if self.config.model.frequency_bias:
                begin_with_frequencies(loaded, MASKED_LM, self.corpus.shards.token_counts(vocabulary))
        limit = loaded.model.spec.max_tokens
        if self.config.corpus.max_tokens > limit:
            raise SettingsError(f"[corpus] max_tokens is {self.config.corpus.max_tokens}, but the model reads {limit} tokens at most")
        if isinstance(detection, ReplacedTokenSettings):
            seed, is_new = self.config.training.seed, start is None
            self.generator = make_generator(loaded, detection, self.tokenizer, self.config.model.dropout)
            loaded, told = joined(loaded, self.generator, detection, self.tokenizer, seed=seed, is_new=is_new)
            self.progress.facts("generator", told)
        count = sum(parameter.numel() for parameter in loaded.model.parameters())
        spec = loaded.model.spec
        self.progress.facts("model", [f"{spec.architecture}, {len(spec.layers)} layers of {spec.hidden}, {count / 1e6:.1f} M parameters"])
        return loaded

    def config_json(self, vocabulary: int) -> dict[str, Any]:
        """The config.json of a new model."""
        shape = self.config.model
        return {
            "model_type": shape.architecture,
            "vocab_size": vocabulary,
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "intermediate_size": shape.feed_forward or 4 * shape.hidden,
            "hidden_act": "gelu",
            "hidden_dropout_prob": shape.dropout,
            "attention_probs_dropout_prob": shape.dropout,
            "max_position_embeddings": shape.max_positions,
            "type_vocab_size": 2,
            "initializer_range": 0.02,
            "layer_norm_eps": 1e-12,
            "pad_token_id": self.tokenizer.padding_id or 0,
            # families other than BERT have numbers of special tokens, whose defaults lie beyond a smaller vocabulary
            **({} if shape.architecture == "bert" else dict.fromkeys(("bos_token_id", "cls_token_id"), self.tokenizer.cls_id)),
            **({} if shape.architecture == "bert" else dict.fromkeys(("eos_token_id", "sep_token_id"), self.tokenizer.sep_id)),
            **shape.config,
        }

    def _sequences(self, shards: Any, seed: int, **other: Any) -> Sequences:
        if self.tokenizer.cls_id is None or self.tokenizer.sep_id is None:
            raise DataError("pretraining needs a tokenizer with special tokens for the beginning and the end of a text ([CLS], [SEP])")
        chosen = replace(self.config.sequences(), seed=seed, **other)
        return Sequences(shards, chosen, start_id=self.tokenizer.cls_id, end_id=self.tokenizer.sep_id)

    def held_out(self) -> PackedBatch | None:
        """Sequences of held-out documents, at most as many tokens as configured; None where these make none. Tells which."""
        shards: list[Shard] = list(self.corpus.held_out)
        batch, told = None, "no documents of the corpus, so nothing is judged (bertworks corpus prepare … --held-out 0.005 keeps some out)"
        try:
            if shards:
                batch = self._held_out_sequences(shards)
                told = f"judged on {batch.sequences:,} sequences, {batch.tokens:,} tokens, of documents that are not trained on"
        except NoPairsError as error:
            told = f"too little for pairs of texts, so nothing is judged (bertworks corpus prepare … --held-out keeps more out): {error}"
        self.progress.facts("held out", [told])
        return batch

    def _held_out_sequences(self, shards: list[Shard]) -> PackedBatch:
        source = self._sequences(shards, _EVALUATION_SEED, copies=0.0)
        count = min(source.per_epoch, max(1, self.config.corpus.held_out_tokens // self.config.corpus.max_tokens))
        task = Pretraining(self._objectives(self.loaded.model.spec.embedding.vocabulary, _EVALUATION_SEED, held_out=True))
        return prepared(source, task, np.arange(count))

    # ---- the run

    def run(self, folder: Path, resumed: bool) -> PretrainReport:
        steps = self.config.training.steps or self._steps()
        config = replace(self.config, training=replace(self.config.training, steps=steps, tokens=None, minutes=None))
        ramp = int(steps * config.training.batch_ramp)
        batches = PretrainingBatches(self.sequences, self.task, batch_size=config.training.batch_size, ramp=ramp)
        self._tell(batches, steps)
        validation = self.held_out()
        material = {
            "corpus": self.corpus.key,
            "model": fingerprint_of_model(self.loaded.model),
            "objectives": {name: vars(settings) for name, settings in config.objectives.items()},
            "sequences": vars(config.sequences()),
            "teachers": {name: fingerprint for name, (_, fingerprint) in self.teachers.items()},
            "steps": steps,
            "ramp": ramp,
        }
        launcher = self.group.launcher
        run = RunFolder(folder, verb="pretrain", launcher=launcher)
        if self.group.first and not (resumed and run.can_be_resumed()):
            run = RunFolder.create(folder, {"pretraining": config.to_dict()}, replace=resumed, verb="pretrain", launcher=launcher)
        result = train(
            self.loaded.model,
            self.task,
            batches,
            self.training,
            self.machine,
            steps=steps,
            evaluation_steps=max(1, ceil(steps / config.training.evaluations)),
            validation=validation,
            run=run,
            material=material,
            progress=self.progress,
            processes=self.group,
        )
        report = PretrainReport(folder, result.best_metrics, steps, result.state.tokens, result.state.seconds)
        if not self.group.first:
            return report
        with run.saying_how_to_go_on():
            self._save(folder, report)
            write_json(folder / runs.METRICS, {k: v for k, v in report.to_dict().items() if k not in ("folder", "model")})
        return report

    def _save(self, folder: Path, report: PretrainReport) -> None:
        """Writes the finished model, and the generator where there is one."""
        told = {name: value for name, value in report.to_dict().items() if name not in ("folder", "model")}
        about = {"pretraining": self._told_config(), "corpus": self.corpus.key, **told}
        if self.generator is not None:
            self._save_model(folder / _GENERATOR, self.generator, about)
        self._save_model(report.model, without_heads(self.loaded, [DISTILLATION, ATTENTION_RELATIONS, TEXT_OVERLAP]), about)

    def _told_config(self) -> dict[str, Any]:
        """The configuration as the model's folder tells it to others: by names, without the paths of this machine."""
        told = self.config.to_dict()
        places = [(told["corpus"], "path"), (told["model"], "start")]
        places += [(objective, key) for objective in told["objectives"].values() for key in ("teacher", "generator")]
        for table, key in places:
            if table.get(key) is not None and (Path(table[key]).is_absolute() or Path(table[key]).exists()):
                table[key] = runs.model_name(table[key])
        return told

    def _save_model(self, folder: Path, loaded: LoadedModel, about: Mapping[str, Any]) -> None:
        loaded = replace(loaded, config={**loaded.config, **self._dropout_for_use()})
        if MASKED_LM in loaded.heads:
            task = FillMask(loaded.model.spec.max_tokens, loaded.model.spec.embedding.vocabulary)
            model_folder.save(folder, loaded, self.tokenizer, task, about=about, replace=True)
            return
        with atomic_folder(folder, replace=True) as writing:
            save_model(writing, loaded)
            self.tokenizer.save(writing, segments=loaded.model.spec.embedding.segments > 1, max_tokens=loaded.model.spec.max_tokens)

    def _dropout_for_use(self) -> dict[str, float]:
        """Dropout that fine-tuning starts from: none while pretraining on more text than the model can learn by heart, the
        usual tenth (Devlin et al. 2019, appendix A.2) on the few rows that come after."""
        return dict.fromkeys(self.loaded.architecture.dropout_keys, 0.1)

    def _steps(self) -> int:
        """The number of steps that a budget of tokens or of time comes to."""
        training = self.config.training
        sequences = training.batch_size * mean_share(training.batch_ramp)  # of a step in the mean
        tokens, told = training.tokens, ""
        if tokens is None:
            assert training.minutes is not None
            # a step takes a time that is fixed and one by its sequences, so steps of the mean size take the mean time
            rate = self._measured_rate(max(1, round(sequences)))
            tokens, told = training.minutes * 60 * rate, f"{training.minutes:g} minutes at {rate:,.0f} tokens/s: "
        length = self.sequences.mean_tokens()
        steps = max(1, round(tokens / (sequences * length)))
        size = f"{sequences:,.4g} sequences of {length:.1f} tokens in the mean"
        self.progress.facts("budget", [f"{told}{tokens:,.0f} tokens in steps of {size}: {steps:,} steps"])
        return steps

    def _measured_rate(self, batch_size: int) -> float:
        """Tokens a second, by some steps of a twin of the model."""
        twin = deepcopy(self.loaded.model)
        batches = PretrainingBatches(self.sequences, self.task, batch_size=batch_size)
        watch = _Stopwatch()
        config = replace(self.training, log_steps=1)
        train(twin, self.task, batches, config, self.machine, steps=_TIMED_STEPS, progress=watch, processes=self.group)
        return self.group.from_first(watch.rate)

    def _tell(self, batches: PretrainingBatches, steps: int) -> None:
        batch = batches.whole_step(0)
        training = self.config.training
        self.progress.facts("machine", self.machine.lines())
        length = f"{batch.tokens / batch.sequences:.0f} tokens a sequence in the mean, at most {self.config.corpus.max_tokens}"
        lines = [f"{steps:,} steps of {training.batch_size} sequences; {length}"]
        lines.append(f"{batches.per_epoch:,} steps an epoch; {training.schedule}, peak learning rate {training.learning_rate:g}")
        targets = batch.token_targets.get(MASKED_LM)
        if targets is not None:
            ordinary = ~np.isin(batch.input_ids, sorted(self.tokenizer.special_ids)) | (targets != IGNORED)
            lines.append(f"masked: {(targets != IGNORED).sum() / ordinary.sum():.1%} of the tokens that are no special ones")
        self.progress.facts("training", lines)
        self.progress.facts("sample", self.sample(batch))

    def sample(self, batch: PackedBatch) -> list[str]:
        """The first sequence of a batch as the model sees it, and what it is to predict."""
        end = min(int(batch.offsets[1]), _SAMPLE_TOKENS)
        lines = [self.tokenizer.decode(batch.input_ids[:end], skip_special_tokens=False)]
        targets = batch.token_targets.get(MASKED_LM)
        if targets is not None:
            wanted = targets[:end][targets[:end] != IGNORED]
            lines.append("to predict: " + " ".join(self.tokenizer.id_to_token(int(i)) or "?" for i in wanted))
        if self.sequences.settings.pairing != "none":
            lines.append(f"second text: {_SECOND_TEXTS[int(batch.targets['pairing'][0])]}")
        return lines


class _Stopwatch(Progress):
    """Measures steps, but not the first ones, which take longer."""

    def __init__(self) -> None:
        self._marks: list[tuple[float, int]] = []

    def step(self, report: StepReport) -> None:
        self._marks.append((time.perf_counter(), report.tokens))

    def rate(self) -> float:
        """Tokens a second."""
        (begin, before), (end, after) = self._marks[1], self._marks[-1]
        return (after - before) / max(end - begin, 1e-9)
