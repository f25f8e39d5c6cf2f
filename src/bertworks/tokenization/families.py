"""The two families of vocabularies that come as plain files: BERT's WordPiece and the byte-level BPE of GPT-2 and RoBERTa."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors


def wordpiece(
    vocabulary: Mapping[str, int],
    roles: Mapping[str, str],
    *,
    lower_case: bool,
    strip_accents: bool | None = None,
    chinese_characters: bool = True,
) -> Backend:
    """BERT's tokenizer (Devlin et al. 2019, section 3 and its published code): clean, split at white space,
    punctuation and Chinese characters, then greedily into the longest pieces of the vocabulary.

    `strip_accents` None strips them where `lower_case` does, as BERT did.
    """
    backend = Backend(models.WordPiece(dict(vocabulary), unk_token=roles.get("unk_token", "[UNK]")))
    backend.normalizer = normalizers.BertNormalizer(
        clean_text=True, handle_chinese_chars=chinese_characters, strip_accents=strip_accents, lowercase=lower_case
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece(prefix="##")
    backend.post_processor = _template(vocabulary, roles, second_segment=1)
    return backend


def byte_level(
    vocabulary: Mapping[str, int],
    merges: Sequence[tuple[str, str]],
    roles: Mapping[str, str],
    *,
    prefix_space: bool = False,
    bare: bool = False,
) -> Backend:
    """Byte-level byte-pair encoding (Radford et al. 2019, section 2.2).

    With `<s>` and `</s>` sequences are put together as in RoBERTa, with other tokens for beginning and separation
    as in BERT but in one segment, and with none (or where `bare` is set) as in GPT-2: nothing is added.
    """
    backend = Backend(models.BPE(dict(vocabulary), list(merges), continuing_subword_prefix="", end_of_word_suffix="", fuse_unk=False))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = decoders.ByteLevel()
    begin, separate = roles.get("cls_token"), roles.get("sep_token")
    if bare or begin is None or separate is None:
        backend.post_processor = processors.ByteLevel(trim_offsets=True)
    elif (begin, separate) == ("<s>", "</s>"):
        backend.post_processor = processors.RobertaProcessing(
            (separate, vocabulary[separate]), (begin, vocabulary[begin]), trim_offsets=True, add_prefix_space=prefix_space
        )
    else:
        backend.post_processor = _template(vocabulary, roles, second_segment=0)
    return backend


def _template(vocabulary: Mapping[str, int], roles: Mapping[str, str], second_segment: int) -> processors.PostProcessor | None:
    begin, separate = roles.get("cls_token"), roles.get("sep_token")
    if begin is None or separate is None:
        return None
    return processors.TemplateProcessing(
        single=f"{begin}:0 $A:0 {separate}:0",
        pair=f"{begin}:0 $A:0 {separate}:0 $B:{second_segment} {separate}:{second_segment}",
        special_tokens=[(begin, vocabulary[begin]), (separate, vocabulary[separate])],
    )


def guess_case(vocabulary: Iterable[str]) -> tuple[bool, bool | None, str]:
    """Whether a WordPiece vocabulary wants lower-cased text and stripped accents, from its tokens; and a sentence on why.

    An uncased vocabulary has next to no capital letters (of the published ones 0 and 0.05 %, of the cased ones
    over 20 %). An uncased one with accented letters wants accents kept.

    >>> guess_case(["[UNK]", "the", "##s"])[:2]
    (True, None)
    """
    # [unused1], [CLS], <S>: markers say nothing about the text.
    words = [token.removeprefix("##") for token in vocabulary if not (token[:1] in "[<" and token[-1:] in "]>" and len(token) > 2)]
    lettered = [word for word in words if word.lower() != word.upper()]
    capitals = sum(word != word.lower() for word in lettered)
    of_all = f"of the vocabulary's {len(lettered):,} tokens with letters"
    if capitals > 0.02 * len(lettered):
        return False, None, f"taken as cased: {capitals:,} {of_all} have capitals"
    accents = sum(_accented(word) for word in lettered)
    if accents > 0.01 * len(lettered):
        return True, False, f"taken as uncased with accents: {accents:,} {of_all} have accents"
    return True, None, f"taken as uncased: {capitals:,} {of_all} have capitals"


def _accented(word: str) -> bool:
    return not word.isascii() and any(unicodedata.category(character) == "Mn" for character in unicodedata.normalize("NFD", word))
