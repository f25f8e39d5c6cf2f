"""The parts of docs/benchmarks.md on learning from few labels."""

import statistics

from benchmarks.markdown import Result, footer, markdown, mean_and_deviation


def few_shot(title: str, content: Result) -> str:
    """What each way of learning makes of the same few rows."""
    rows = []
    for way, found in content["results"].items():
        seconds = [run["seconds"] for run in found]
        rows.append([way, mean_and_deviation(content["summary"][way]), str(len(found)), f"{sum(seconds) / len(seconds):,.0f}"])
    tuned = content["fine_tuning"]
    text = (
        f"### {title}\n\n"
        f"{content['per_class']} examples of each of {content['classes']} classes, drawn anew with every seed, and {content['judged']:,} "
        f"other rows to judge by. Contrastive pairs: {content['pairs_per_text']} of each kind a text (SetFit, Tunstall et al. 2022). "
        f"Fine-tuning: {tuned['epochs']} epochs, learning rate {tuned['learning_rate']:g}, batch size {tuned['batch_size']}.\n\n"
    )
    return text + markdown(["learning by", "accuracy", "seeds", "seconds"], rows) + "\n\n" + footer(content)


def continued_pretraining(title: str, content: Result) -> str:
    """What few labels are worth before and after."""
    rows = []
    for name, values in content["accuracy"].items():
        loss = content["pretraining"][name]["metrics"]["masked_lm_loss"]
        summary = {"mean": statistics.mean(values), "std": statistics.stdev(values) if len(values) > 1 else None}
        rows.append([name, f"{loss:.2f}", mean_and_deviation(summary)])
    gain, pretraining = content["gain"], content["pretraining"]["after"]
    deviation = "" if gain["std"] is None else f" ± {100 * gain['std']:.2f}"
    text = (
        f"### {title}\n\n"
        f"{content['model']} reads {content['texts']:,} unlabelled texts of the task ({pretraining['tokens'] / 1e6:.1f} million tokens in "
        f"all passes, {pretraining['seconds'] / 60:,.0f} minutes), and is fine-tuned on {content['rows']:,} labelled ones; "
        f"{len(gain['by_seed'])} paired draws, {content['judged']:,} rows to judge by. "
        f"Gain: {100 * gain['mean']:+.2f}{deviation} points.\n\n"
    )
    return text + markdown(["", "loss of hidden words", "accuracy"], rows) + "\n\n" + footer(content)
