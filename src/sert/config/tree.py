"""One typed tree of settings. `sert.config.load` reads it from TOML.

Each default is the paper's value where it states one; `docs/paper_index.md` gives the source of each.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from sert.config.columns import Columns
from sert.config.endpoints import CallsConfig, EndpointConfig, Thinking
from sert.config.lora import LoraConfig
from sert.config.mining import MiningConfig
from sert.config.prompts import OF_KIND, PromptTemplates
from sert.config.rules import RulesConfig, SelectionConfig
from sert.config.section import FilePath, PositiveInt, Section, Share

Method = Literal["zero_shot", "finetune", "sert", "rd", "sert+rd"]
METHODS: tuple[Method, ...] = get_args(Method)
DISTILLED: tuple[Method, ...] = ("rd", "sert+rd")
"""Methods that learn a teacher's rationales, and are asked with its prompt."""
TaskKind = Literal[
    "strategyqa",
    "commonsenseqa",
    "gsm8k",
    "math",
    "arc_easy",
    "arc_challenge",
    "openbookqa",
    "boolq",
    "boolq_closed",
    "table",
    "lab_yes_no",
    "lab_choice",
]


class TaskConfig(Section):
    """One question set."""

    kind: TaskKind
    """Kind of question set; see `sert tasks`."""
    data: FilePath | None = None
    """File with the questions (with the train questions, where `test_data` is another file)."""
    test_data: FilePath | None = None
    """File with the test questions."""
    split_file: FilePath | None = None
    """JSON file {"train": [indices], "test": [indices]} into `data`."""
    hub: str | None = None
    """Hub data set id or a local data set folder, instead of files."""
    hub_config: str | None = None
    """Name of the hub set's configuration, where it has several (`main`, `ARC-Easy`)."""
    hub_revision: str | None = None
    train_split: str = "train"
    """Name of the hub split that is trained on."""
    test_split: str | None = None
    """Name of the hub split that is tested on; None = the task's own convention."""
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of `data` set aside for testing (by hash of the question) when neither a split nor test data is given."""
    dev_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the train questions set aside for choosing the epoch, by hash of the question. Not stated by the paper;
    the harness that its settings come from chooses on the test set."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """Similarity from which on a train question is left out as nearly the same as a test or dev question
    (`docs/questions.md`); None = only the same words and choices count. Not stated by the paper."""
    columns: Columns = Columns()
    bad_rows: Literal["refuse", "leave_out"] = "refuse"
    """Rows that cannot be used are told and refused, or told and left out."""
    methods: tuple[Method, ...] = ()
    """Of the run's methods only these, for a task without rationales for instance; empty = all."""
    limit: PositiveInt | None = None
    """Use only the first questions of each split."""
    train_limit: PositiveInt | None = None
    """Use only the first train questions, and all others."""
    prompts: PromptTemplates = PromptTemplates()
    rationales: FilePath | None = None
    """Recorded teacher answers of this task, where `teacher.kind = "recorded"`."""

    @model_validator(mode="before")
    @classmethod
    def _ask_as_its_kind_is_asked(cls, given: Any) -> Any:
        """Begin with the prompts of the kind, where it has some of its own."""
        kind = given.get("kind") if isinstance(given, Mapping) else None
        prompts = given.get("prompts", {}) if isinstance(given, Mapping) else None
        if isinstance(kind, str) and kind in OF_KIND and isinstance(prompts, Mapping):
            return {**given, "prompts": {**OF_KIND[kind], **prompts}}
        return given


Numbers = Literal["float32", "auto", "bfloat16x2", "int16", "bfloat16", "float16", "int8"]
NUMBERS: tuple[Numbers, ...] = tuple(each for each in get_args(Numbers) if each != "auto")
"""In which numbers students decode, once `auto` has been decided."""


class StudentConfig(Section):
    """The student: a hub id, a local folder, a GGUF file, or `lab` for the student that ships with the package."""

    path: str = "gpt2"
    """Hub id, local folder (of a model or an adapter), `.gguf` file, or `lab`."""
    revision: str | None = None
    dtype: Numbers = "float32"
    """Type of the numbers that it decodes with; training keeps float32. `auto` measures which one is the fastest on
    this machine among those that hardly change the student (0.02 nats), and a run keeps what was chosen at its first
    start. `int16` does so on CPUs, and `bfloat16x2` on those with AMX; where their loops do not run, they are float32,
    and what decodes says so."""
    max_distance: Annotated[float, Field(ge=0)] = 0.1
    """Largest mean difference, in nats, of log-probabilities of likely tokens from those in float32, measured on the
    first prompts; a `dtype` that is coarser than that for this student is refused. Changes no result."""
    prompt: Literal["auto", "plain", "chat"] = "auto"
    """How it is asked, in every stage: `plain`, by the prompt as it stands; `chat`, by the prompt in a user's turn of
    its chat template. `auto` asks a student as it was trained by this software, any other by its chat template if it
    has one. The paper's students have none."""
    system: str | None = None
    """System text of the chat template; None leaves it to the template, which may have one of its own."""
    thinking: bool = False
    """Whether chat templates that can switch thinking on have it on."""
    device: str = "auto"
    """`auto` takes the accelerator if there is one."""
    num_threads: PositiveInt | None = None
    """CPU threads of each process; None = torch's own choice. A tiny student is no faster on several."""


class TrainingConfig(Section):
    """The one training loop."""

    batch_size: PositiveInt = 8
    """Examples an optimizer step. Paper: 8."""
    micro_batch_size: PositiveInt | None = None
    """Most examples a forward pass; None = no limit. Changes only rounding and where dropout falls."""
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    """Paper: 3e-4, Adam."""
    epochs: Annotated[float, Field(gt=0)] = 20
    """Paper: 20."""
    max_steps: PositiveInt | None = None
    """Optimizer steps; when given it decides instead of `epochs`, so that methods train equally long."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    max_grad_norm: Annotated[float, Field(gt=0)] | None = None
    """Clip the gradient norm; None = no clipping (none is stated)."""
    adam_betas: tuple[float, float] = (0.9, 0.999)
    max_length: PositiveInt = 512
    """Longest prompt + completion in tokens; longer examples are left out and counted."""
    loss_on_prompt: bool = False
    """Train on the prompt's tokens too."""
    autocast: Literal["no", "bf16"] = "no"
    """Mixed precision of the forward pass; weights and optimizer stay float32."""
    snapshots: PositiveInt = 1
    """States of the student that are kept, evenly spaced over the steps, the last one included. With two or more each
    is tested, also on the dev split, so that the epoch can be chosen."""
    gradient_checkpointing: bool = False
    """Keep only what goes into each layer, and compute the rest again for the gradients: less memory, a third more
    time, the same results but for rounding."""
    lora: LoraConfig | None = None
    """Train adapters instead of all weights, where this section is given (an empty one will do)."""
    forgetting: FilePath | None = None
    """File of held-out texts of another kind that are scored before and after the training (`docs/engine.md`)."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write what came later only where it is on, so that results that were made before it keep their keys."""
        later = ("gradient_checkpointing", "lora", "forgetting")
        return {name: value for name, value in write(self).items() if value or name not in later}

    def num_steps(self, num_examples: int) -> int:
        """Count the optimizer steps: `max_steps`, else `epochs` passes over the examples."""
        if self.max_steps is not None:
            return self.max_steps
        return max(1, math.ceil(math.ceil(num_examples / self.batch_size) * self.epochs))

    def snapshot_steps(self, num_steps: int) -> list[int]:
        """List the steps after which a snapshot is kept; the last one is the end of the training."""
        return [math.ceil(num_steps * number / self.snapshots) for number in range(1, self.snapshots + 1)]


class TeacherConfig(Section):
    """Where rationales come from."""

    kind: Literal["lab", "recorded", "endpoint"] = "recorded"
    """`lab` = the lab's oracle; `recorded` = answers made earlier (`tasks.<name>.rationales`); `endpoint` = asked."""
    num_rationales: PositiveInt | None = None
    """Train on so many of the rationales only, drawn by the seed; of two numbers the smaller one takes a part of what
    the larger one takes. None = all."""
    only_correct: bool = False
    """Leave out rationales whose own answer is wrong. The paper says nothing of it."""
    keep_flagged: bool = False
    """Train on rationales that were cut off, filtered or damaged, too."""
    thinking: Thinking = "drop"
    """What becomes of what a reasoning model thinks before it answers: `drop` = the answer alone is the rationale;
    `keep` = the thinking is the rationale, where there is any."""
    endpoint: EndpointConfig | None = None
    calls: CallsConfig = CallsConfig()


class JudgeConfig(Section):
    """The judge of reasoning."""

    endpoint: EndpointConfig | None = None
    calls: CallsConfig = CallsConfig()
    output: Literal["auto", "lines", "json_schema"] = "auto"
    """How scores are asked for; `auto` asks for JSON where the endpoint can."""
    limit: Annotated[int, Field(ge=0)] = 100
    """Outputs of each student that are judged, from the first question on; 0 = all. Paper: 100, in figure 1.
    Paths that are sampled for that figure are judged all (`evaluation.scored_questions`)."""
    repeats: PositiveInt = 1
    """How often each text is judged; two or more show how far the judge agrees with itself."""


class ExecutionConfig(Section):
    """How the work is done. None of it changes what comes out, but for what `mixed` accepts."""

    engine: Literal["local", "ray"] = "local"
    """Who does the work: `local`, processes of this machine; `ray`, workers of a Ray cluster (`docs/scale.md`)."""
    address: Annotated[str, Field(min_length=1)] = "local"
    """Which Ray cluster: `local` starts one on this machine alone, which ends with the run; `auto` is the one that this
    machine belongs to; else where it is reached, such as `ray://head:10001`."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes that decode side by side, each with a student of its own; with several accelerators each worker
    takes the next one."""
    gpus_per_worker: Annotated[float, Field(ge=0)] = 0
    """Accelerators that a worker of a Ray cluster gets; below 1 several share one."""
    mixed: bool = False
    """Accept workers that compute with other numbers (another processor, say): results can then differ in their last
    bits by who did what, and manifests tell. Otherwise such workers are refused."""
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 300.0
    """Seconds of training after which its state is saved, so that it goes on from there when it was stopped."""
    keep_units: bool = True
    """Keep the finished parts of mining and evaluation, hidden in the run's folder, so that damage is mended without
    decoding everything again."""


APART = ExecutionConfig(keep_units=False)
"""How a stage is done that is no part of a run."""


class EvaluationConfig(Section):
    """How students are tested."""

    max_new_tokens: PositiveInt = 256
    """Longest output, in tokens. Not stated by the paper."""
    max_lanes: PositiveInt = 400
    max_format_rep_2: Share = 0.5
    """Repetition of the reasoning above which an output fails the format."""
    votes: PositiveInt = 1
    """Outputs a question that vote on its answer (self-consistency); 1 = one greedy output. More are sampled with
    `mining.top_k`, `top_p` and `temperature`, the first token too. Not stated by the paper, which gives one output."""
    likelihood: bool = False
    """Whether the possible answers of each question are scored, too: which one the student finds the most probable
    behind the prompt, by its words and by its letter (`docs/numbers.md`). Not in the paper."""
    gain: bool = False
    """Whether mined paths, outputs and rationales are scored by how much each raises the likelihood of the gold answer
    (`docs/numbers.md`). Changes no other result. Not in the paper."""
    harness: Literal["clean", "compat"] = "clean"
    """`compat` tests as the harness does that the paper's settings come from: prompts padded on the left with
    end-of-text that is attended to and counted as positions. Only to measure what that does; one output a question.
    Not stated by the paper."""
    epoch_choice: Literal["last", "dev", "test-best"] = "last"
    """Which snapshot is compared: the last one, the best one on the dev split, or (too good by design) the best one on
    the test split. All three are reported where there are snapshots and a dev split."""
    scored_questions: Annotated[int, Field(ge=0)] = 0
    """Test questions, from the first one on, of which as many paths as mining samples are scored: by branching, by raw
    sampling, and by raw sampling of the SERT student; 0 = none. Paper: 100, in figure 1."""
    probe_samples: Annotated[int, Field(ge=0)] = 5
    """Paths a question in the comparison of raw sampling with branching; 0 = leave it out."""


class ReportConfig(Section):
    """What is written at the end of a run. None of it changes a result."""

    explore: bool = True
    """Write `explore.html` beside the report: all paths and outputs on one page (`docs/explorer.md`)."""
    tracker: Literal["none", "tensorboard", "trackio", "wandb"] = "none"
    """Who is told the curves of trainings and the results of stages besides, as numbers alone (`docs/exports.md`)."""

    @model_serializer(mode="wrap")
    def _leave_out_what_is_off(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the tracker, which came later, only where there is one."""
        return {name: value for name, value in write(self).items() if (name, value) != ("tracker", "none")}


class Config(Section):
    """A whole run."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides everything that is drawn."""
    methods: tuple[Method, ...] = Field(default=METHODS, min_length=1)
    rounds: Annotated[int, Field(ge=1, le=9)] = 1
    """Rounds of self-training: each further one mines again, from the student that the one before activated, and trains
    the first student on what it finds. Paper: 1."""
    student: StudentConfig = StudentConfig()
    tasks: dict[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")], TaskConfig] = Field(min_length=1)
    mining: MiningConfig = MiningConfig()
    rules: RulesConfig = RulesConfig()
    selection: SelectionConfig = SelectionConfig()
    training: TrainingConfig = TrainingConfig()
    teacher: TeacherConfig = TeacherConfig()
    judge: JudgeConfig = JudgeConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    execution: ExecutionConfig = ExecutionConfig()
    report: ReportConfig = ReportConfig()

    def methods_of(self, task: str) -> tuple[Method, ...]:
        """List the methods that are for this task, in the order of the tables."""
        only = self.tasks[task].methods or METHODS
        return tuple(method for method in METHODS if method in self.methods and method in only)

    @property
    def scores_paths(self) -> bool:
        """Whether mined paths are scored by how much they raise the likelihood of the gold answer."""
        return self.evaluation.gain or self.selection.order == "gain"

    @property
    def mining_to_select(self) -> MiningConfig:
        """How train questions are mined: early stopping foresees the paper's selection only."""
        return self.mining.for_rules(self.rules, self.selection)
