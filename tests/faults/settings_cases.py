"""Wrong command lines and wrong settings in Python."""

from bertworks.errors import CheckpointError, DataError, NotFittedError, SettingsError
from tests.faults.case import Case, done, file

TRAIN = "bertworks train reviews.csv --text review --label sentiment --model encoder"

_PRETRAINING = '[corpus]\npath = "corpus"\n[training]\nsteps = 10\n[model]\narchitecture = "electra"\n'


def _tagger() -> None:
    """A model of words from the encoder of the working folder."""
    import bertworks

    rows = [["a", "b"]] * 4, [["B-X", "O"]] * 4
    bertworks.EntityRecognizer("encoder", epochs=1, progress=False, precision="float32").fit(*rows).save("tagger")


SETTINGS = [
    Case("a command that does not exist", "bertworks trian reviews.csv", SettingsError, "trian", "Did you mean train?"),
    Case("a command without what it needs", "bertworks evaluate model", SettingsError, "'data'", "evaluate --help"),
    Case("a training without data", "bertworks train", SettingsError, "nothing to train on", "name a file"),
    Case("an option with a slip", f"{TRAIN} --learing-rate 1", SettingsError, "--learing-rate", "Did you mean --learning-rate?"),
    Case("an option of another command", "bertworks predict model text --epochs 3", SettingsError, "--epochs", "predict --help"),
    Case(
        "a word for a number", f"{TRAIN} --epochs many", SettingsError, "'--epochs'", "train --help", vague=r"(?<='--epochs': ).*(?=\. See)"
    ),
    Case("an option without its value", "bertworks train reviews.csv --epochs", SettingsError, "--epochs", "train --help"),
    Case("numbers out of range, all told at once", f"{TRAIN} --epochs -1 --warmup 2", SettingsError, "epochs", "warmup must lie in [0, 1)"),
    Case("a number that is none", f"{TRAIN} --learning-rate nan", SettingsError, "learning_rate", "must be above 0"),
    Case("a schedule with a slip", f"{TRAIN} --schedule liner", SettingsError, "schedule", "Did you mean 'linear'?"),
    Case("a precision that does not exist", f"{TRAIN} --precision float8", SettingsError, "float8", "float32"),
    Case("a device that is not there", f"{TRAIN} --device gpu", SettingsError, "device 'gpu'", "cuda"),
    Case("more threads than any machine has", f"{TRAIN} --threads 100000000000", SettingsError, "threads", "from 1 to 1,024"),
    Case("an order of the rows below zero", f"{TRAIN} --shuffle-seed -1", SettingsError, "shuffle_seed", "0 or more"),
    Case("an empty name of data", "bertworks train ''", DataError, "an empty name", "name a file"),
    Case(
        "a layer of another width than the teacher's vectors",
        "bertworks train reviews.csv --task embeddings --text review --model encoder --teacher encoder --dense 3",
        SettingsError,
        "the teacher's vectors have 8 features, but these have 3",
        "choose dense=8 (--dense 8), or leave out dense",
    ),
    Case(
        "an activation without its layer",
        "bertworks train reviews.csv --task embeddings --text review --model encoder --activation relu",
        SettingsError,
        "activation",
        "give dense (--dense) too",
    ),
    Case(
        "one vector for a text, and one for each token",
        "bertworks features 'a text' --model encoder --tokens --pooling max",
        SettingsError,
        "pooling",
        "leave out either pooling or tokens",
    ),
    Case("no seed at all", f"{TRAIN} --seeds 0", SettingsError, "seeds", "at least 1"),
    Case("a kind of labels with a slip", f"{TRAIN} --kind sngle", SettingsError, "'sngle'", "'single'"),
    Case("class weights without numbers", f"{TRAIN} --class-weights good=x", SettingsError, "good=x", "label=weight"),
    Case(
        "class weights that miss a label",
        f"{TRAIN} --class-weights good=1",
        SettingsError,
        "class_weights",
        "a weight for each of: bad, good",
    ),
    Case("transitions where no words get tags", f"{TRAIN} --transitions", SettingsError, "'transitions'", "Leave it out"),
    Case(
        "transitions beside a teacher",
        "bw.EntityRecognizer(teacher='tagger', transitions=True).fit([['a', 'b']] * 4, [['B-X', 'O']] * 4)",
        SettingsError,
        "transitions",
        "leave out one of the two",
    ),
    Case("a teacher's share above 1", f"{TRAIN} --teacher model --teacher-share 1.5", SettingsError, "teacher_share", "(0, 1]"),
    Case("a temperature without a teacher", f"{TRAIN} --temperature 3", SettingsError, "temperature", "name a teacher"),
    Case("a teacher with other labels", f"{TRAIN} --teacher model", SettingsError, "it lacks bad, good", "the same labels"),
    Case("a teacher of another kind", f"{TRAIN} --teacher tags", SettingsError, "of the kind 'multi'", "one of the same kind"),
    Case("a teacher that is no finished model", f"{TRAIN} --teacher encoder", CheckpointError, "encoder is no finished model", "train one"),
    Case(
        "a teacher with another tokenizer",
        "bw.EntityRecognizer(teacher='tagger', epochs=1, progress=False).fit([['a', 'b']] * 4, [['B-X', 'O']] * 4)",
        SettingsError,
        "'tagger' has another tokenizer",
        "with one tokenizer",
        (done(_tagger),),
    ),
    Case("more tokens than the model reads", f"{TRAIN} --max-tokens 4096", SettingsError, "max_tokens is 4096", "from 1 to 64"),
    Case("an overlap as long as the window", f"{TRAIN} --max-tokens 12 --stride 12", SettingsError, "stride=12", "from 0 to 9"),
    Case("a way with long texts that does not exist", f"{TRAIN} --overflow cut", SettingsError, "overflow='cut'", "truncate"),
    Case("a share of the rows above 1", f"{TRAIN} --validation-fraction 1.5", SettingsError, "validation_fraction", "[0, 1)"),
    Case("more layers than the model has", f"{TRAIN} --frozen-layers 9", SettingsError, "frozen_layers is 9", "the model has 1 layers"),
    Case("no row at all", f"{TRAIN} --limit 0", SettingsError, "limit", "at least 1"),
    Case("bad rows neither dropped nor an error", f"{TRAIN} --on-bad-rows skip", SettingsError, "'skip'", "'error' or 'drop'"),
    Case("an encoding with a slip", f"{TRAIN} --encoding uft-8", SettingsError, "'uft-8'", "Did you mean 'utf-8'?"),
    Case("a delimiter of two characters", f"{TRAIN} --delimiter ::", SettingsError, "'::'", "one ASCII character"),
    Case("texts and a file", "bertworks predict model text --file reviews.csv", SettingsError, "texts or --file", "not both"),
    Case("an output without a file", "bertworks predict model text --output out.csv", SettingsError, "--output", "--file"),
    Case(
        "an output that no table is written to",
        "bertworks predict model --file reviews.csv --text review --output out.docx",
        DataError,
        "out.docx",
        ".csv .tsv",
    ),
    Case(
        "an output in a folder that does not exist",
        "bertworks predict model --file reviews.csv --text review --output nowhere/out.csv",
        DataError,
        "nowhere/out.csv",
        "folder",
    ),
    Case(
        "an output below a file",
        "bertworks predict model --file reviews.csv --text review --output reviews.csv/out.csv",
        DataError,
        "'reviews.csv' is a file",
        "choose another place",
    ),
    Case(
        "more folds than rows",
        "bertworks cross-validate reviews.csv --text review --folds 99 --model encoder",
        DataError,
        "99 folds",
        "from 2 to 24",
    ),
    Case("a grid that does not exist", "bertworks tune reviews.csv --text review --grid big", SettingsError, "'big'", "paper, small"),
    Case("shares above 1", "bertworks learning-curve reviews.csv --text review --shares 0.5,2", SettingsError, "shares", "(0, 1]"),
    Case(
        "an explanation of a label that the model lacks",
        "bertworks explain model text --target good",
        SettingsError,
        "'good'",
        "negative, positive",
    ),
    Case(
        "more texts to explain than a model reads",
        "bertworks explain model good film today",
        SettingsError,
        "3 were given",
        "put quotes around each",
    ),
    Case(
        "models of different tasks compared",
        "bertworks compare model pairs --data reviews.csv",
        DataError,
        "'model' and 'pairs'",
        "models of different tasks",
    ),
    Case(
        "a tokenizer trained on nothing",
        "bertworks tokenizer train nothing.txt",
        DataError,
        "'nothing.txt' does not exist",
        "The folder holds",
    ),
    Case("a tokenizer without a word", "bertworks tokenizer train reviews.csv --vocab-size 0", SettingsError, "vocabulary_size", "above 0"),
    Case("a setting with a slip, in Python", "bw.TextClassifier(learing_rate=1e-4)", SettingsError, "learing_rate", "'learning_rate'"),
    Case(
        "a setting of the wrong type",
        "bw.TextClassifier('encoder', batch_size='32').fit(['a', 'b'], [0, 1])",
        SettingsError,
        "batch_size",
        "not '32'",
    ),
    Case("set_params with a slip", "bw.TextClassifier().set_params(epoch=3)", SettingsError, "epoch", "'epochs'"),
    Case("a prediction before the training", "bw.TextClassifier().predict(['a text'])", NotFittedError, "TextClassifier", "call fit"),
    Case(
        "resuming without a folder", "bw.TextClassifier('encoder').fit(['a', 'b'], [0, 1], resume=True)", SettingsError, "resume", "output"
    ),
    Case("a text instead of a list of texts", "bw.load('model').predict_proba('one text')", DataError, "one string", "[text]"),
    Case(
        "texts and labels of different numbers",
        "bw.TextClassifier('encoder').fit(['a', 'b'], [0])",
        DataError,
        "2 texts but 1 labels",
        "1 labels",
    ),
    Case("a text that is none", "bw.load('model').predict(['a', None])", DataError, "row 1", "leave it out or convert it"),
    Case("pairs for a model of single texts", "bw.load('model').predict([('a', 'b')])", DataError, "single texts", "not pairs"),
    Case(
        "single texts for a model of pairs",
        "bertworks predict pairs 'one text'",
        DataError,
        "this line has 0 tabs: one text",
        "a tab between them",
    ),
    Case("a layer that does not exist", "bw.Encoder('encoder')('a text', attentions=[3])", SettingsError, "layer 3", "layers 0 to 0"),
    Case("a text longer than the encoder reads", "bw.Encoder('encoder')('good ' * 99)", DataError, "row 0 has 101 tokens", "shorten it"),
    Case(
        "a table of pairs for a model of single texts",
        "bertworks predict model --file pairs.csv",
        DataError,
        "pairs.csv",
        "--text",
        (file("pairs.csv", "premise,hypothesis\na,b\n"),),
    ),
    Case("standard input of nothing", "bertworks predict pairs", DataError, "standard input", "no text"),
    Case(
        "masked words beside replaced tokens",
        "bertworks pretrain pretraining.toml",
        SettingsError,
        "[objectives.replaced_token_detection] cannot stand beside masked_lm",
        "its generator learns masked words already",
        (file("pretraining.toml", _PRETRAINING + "[objectives.masked_lm]\n[objectives.replaced_token_detection]\n"),),
    ),
    Case(
        "a generator larger than its model",
        "bertworks pretrain pretraining.toml",
        SettingsError,
        "generator_size",
        "above 0 and at most 1, not 2",
        (file("pretraining.toml", _PRETRAINING + "[objectives.replaced_token_detection]\ngenerator_size = 2\n"),),
    ),
    Case(
        "sequences longer than a pretrained model reads",
        "bertworks evaluate bertworks-mini text.txt --max-tokens 9999",
        SettingsError,
        "max_tokens is 9,999, but the model reads 512",
        "--max-tokens 512",
        (file("text.txt", "A text.\n"),),
    ),
    Case(
        "a text of nothing for a pretrained model",
        "bertworks evaluate bertworks-mini empty.txt",
        DataError,
        "empty.txt holds no text",
        "name another file",
        (file("empty.txt", "\n"),),
    ),
    Case(
        "a text without a mask for a pretrained model",
        "bertworks predict bertworks-mini 'a text'",
        SettingsError,
        "there is no [MASK] in 'a text'",
        "write it where a word is wanted",
    ),
]
