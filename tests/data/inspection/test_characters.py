"""Characters that were lost or garbled."""

import pytest

from bertworks.data.inspection.characters import check_bytes, mojibake, repaired
from bertworks.errors import DataError

from .conftest import Findings, GoodRows

LETTERS = "éèêëàâäçñöüßøåæíóúáãõôîïûùÿÉÖÜÄÑ" + "łśćźżąęńčřšžěůőű" + "£€°©®·½¿¡«»“”‘’–—…•™"
"""Western and Central European letters, signs, quotes and dashes."""
SENTENCES = (
    "«Où est-il allé ?» demanda-t-elle à l'hôtel ; «c'est très étrange», répondit-il…",
    "„Größe ist nicht alles“, sagte er – und „MENÜ“ stand über der Tür. Straße, Übung, Ärger.",
    "¿Qué pasó con la niña? ¡Nada! El café costó 3 € (25 °C) ½ año.",
    "A MANHÃ está fria; NÃO há pão. «São João» – “coração”. Às três.",
    "Świat jest piękny, źdźbło trawy – „tak”, rzekł Łukasz. Žluťoučký kůň úpěl ďábelské ódy.",
    "Blåbærsyltetøy på brød. Århus og Åland. Það er gott veður á Íslandi, sagði Þór við Ðóru.",
    "România: Câmpulung, „ÎN ȘCOALĂ”, ÎNCĂ. Âme, âge, château.",
    "Türkçe: IĞDIR’da güneşli bir gün. ÇIĞLIK, ŞİŞLİ, “ÖĞLE”.",
    "Тёплый день в Москве. «Кто там?» – «Я». Ελληνικά: «Τι ώρα είναι;»",
    "今日は雨です。「はい」と言った。 오늘은 비가 옵니다. اليوم جميل",
    "Tiếng Việt: Ở đây trời mưa, ÂM NHẠC – “hay”.",
)


@pytest.mark.parametrize("text", SENTENCES)
def test_what_is_written_right_is_not_garbled(text: str) -> None:
    assert mojibake(text) is None


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("text", SENTENCES)
def test_whole_sentences_in_the_wrong_encoding_are_found(text: str, encoding: str) -> None:
    wrong = text.encode("utf-8").decode(encoding, "ignore")
    assert mojibake(wrong)


@pytest.mark.parametrize("letter", LETTERS)
def test_single_letters_in_the_wrong_encoding(letter: str) -> None:
    data = f"a{letter}b".encode()
    for encoding in ("cp1252", "latin-1"):
        garbled = data.decode(encoding, "ignore")
        if len(garbled) == len(data):  # cp1252 has no characters for five bytes
            found = mojibake(garbled)
            assert found is not None
            assert repaired(found) == letter


def test_letters_at_the_border_of_a_word() -> None:
    for text in ("à la carte", "il est là, dit-il", "Österreich", "Noël", "ją", "« oui »", "5 €"):
        assert mojibake(text.encode().decode("cp1252"))


def test_findings(findings: Findings, good_rows: GoodRows) -> None:
    texts, labels = good_rows(300)
    texts[5], texts[6], texts[7] = "The cafÃ© was warm", "The caf\ufffd was cold", "The book\x92s cover \x1b[31m"
    found = findings(texts, labels)
    assert found["Garbled characters"].rows == (5,)
    assert "Ã© for é" in found["Garbled characters"].message
    assert found["Lost characters"].rows == (6,)
    assert found["Control characters"].rows == (7,)
    assert "U+0092" in found["Control characters"].message
    assert {finding.level for finding in found.values()} == {"note"}
    assert "\x1b" not in "".join(found["Control characters"].examples)
    many = findings([text.replace("a", "Ã¡") for text in texts], labels)
    assert many["Garbled characters"].level == "warning"


def test_bytes_that_are_not_utf_8() -> None:
    lines = "text,label\nDas Café,a\nplain,b\nschöne Straße,a\n"
    assert check_bytes(lines.encode("utf-8"), "utf-8", "x.csv") is None
    assert check_bytes(lines.encode("cp1252"), "cp1252", "x.csv") is None
    wrong = check_bytes(lines.encode("cp1252"), "utf-8", "x.csv")
    assert wrong is not None
    assert (wrong.finding.level, wrong.finding.count, wrong.readable, wrong.throughout) == ("error", 2, "cp1252", True)
    assert "--encoding cp1252" in wrong.finding.message
    assert "“Das Café,a”" in wrong.finding.examples[0]
    assert lines.encode("cp1252").decode(wrong.readable) == lines


def test_single_lines_in_another_encoding() -> None:
    data = "Das Café\nschöne Straße\nüber\n".encode() + "Bär\n".encode("cp1252")
    wrong = check_bytes(data, "utf-8", "x.csv")
    assert wrong is not None
    assert (wrong.finding.count, wrong.throughout) == (1, False)
    assert "line 4" in wrong.finding.examples[0]


def test_bytes_that_only_latin_1_knows() -> None:
    wrong = check_bytes("text\nBär \x81\n".encode("latin-1"), "utf-8", "x.csv")
    assert wrong is not None
    assert wrong.readable == "latin-1"


def test_what_is_no_text_at_all() -> None:
    with pytest.raises(DataError):
        check_bytes(b"PK\x03\x04" + bytes(range(256)) * 4, "utf-8", "x.csv")
    with pytest.raises(DataError):
        check_bytes("é".encode("latin-1"), "ascii", "x.csv")
