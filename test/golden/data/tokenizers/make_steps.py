"""Steps of tokenizers that JavaScript and Rust have unlike words for, by Hugging Face tokenizers; each with a vocabulary of its words.

    pip install tokenizers==0.23.3
    python -B make_steps.py      # writes steps.json here
"""
import json
from pathlib import Path
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

HERE = Path(__file__).parent
TEXTS = [
    "ΟΔΥΣΣΕΥΣ ΣΑΣ Σ, ΣΣ!", "𠮷野家 a𫚝b 中c", "naïve café_x Straße 日本語 हिन्दी x\u200dy", "\ufeffmark\u0085 end \ufeff",
    "  wait...what?!  a--b ", "a1b22 c333", "İstanbul ǅ", "one  two   three ", "x \u3000y\u2028z",
]
SPLITS = ["removed", "isolated", "contiguous", "merged_with_previous", "merged_with_next"]


def steps():
    pre, norm = pre_tokenizers, normalizers
    yield "bert", norm.BertNormalizer(lowercase=True), pre.BertPreTokenizer()
    yield "bert, no cleaning", norm.BertNormalizer(clean_text=False, lowercase=False), pre.BertPreTokenizer()
    yield "lowercase", norm.Lowercase(), pre.WhitespaceSplit()
    yield "strip", norm.Strip(), pre.Split(" ", "isolated")
    yield "words and signs", None, pre.Whitespace()
    for behavior in SPLITS:
        yield f"punctuation, {behavior}", None, pre.Punctuation(behavior)
        for invert in [False, True]:
            yield f"split, {behavior}, {'inverted' if invert else 'plain'}", None, pre.Split(Regex(r"\s|\d+|-"), behavior, invert)


def make(name, normalizer, pre_tokenizer):
    words = [pre_tokenizer.pre_tokenize_str(normalizer.normalize_str(text) if normalizer else text) for text in TEXTS]
    # Some of the words are unknown.
    known = sorted({word for row in words for word, _ in row if not word.startswith("w")})
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<unk>", *known])}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer: tokenizer.normalizer = normalizer
    return case(name, tokenizer, TEXTS)


def case(name, tokenizer, texts):
    ids = [tokenizer.encode(text).ids for text in texts]
    decoded = [tokenizer.decode(row) for row in ids]
    return {"name": name, "tokenizer": json.loads(tokenizer.to_str()), "ids": ids, "decoded": decoded}


def metaspace(scheme):
    pieces = ["<unk>", "▁", "▁▁", "▁a", "▁▁b", "a", "b", "c▁d", "▁c▁d"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme=scheme, split=False)
    return case(f"metaspace, {scheme}", tokenizer, [" a", "  b", "a b", " c d", "   a", "c d"])


def first_mark(name, pre_tokenizer):
    """A mark of a space before what begins a text, where tokens that were added and spaces cut it."""
    words = ["<unk>", "▁", "▁a", "▁b", "▁Q", "a", "b", "Q"]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.add_tokens([AddedToken("[N]", normalized=True), AddedToken("[P]", normalized=False)])
    return case(f"metaspace behind {name}", tokenizer, MARKED)


def added_spaces(normalized):
    """Tokens that were added and take away white space before them, behind them, or both."""
    signs = ["<unk>", "a", " ", "\t", "\u0085", "\u00a0", "\u200b", "\u3000", "\ufeff"]
    tokenizer = Tokenizer(models.WordLevel({sign: i for i, sign in enumerate(signs)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokens = [("[L]", True, False), ("[R]", False, True), ("[B]", True, True)]
    tokenizer.add_tokens([AddedToken(text, lstrip=left, rstrip=right, normalized=normalized) for text, left, right in tokens])
    tokenizer.add_tokens([AddedToken("\t\t", normalized=normalized)])
    return case(f"white space beside added tokens{', normalized' if normalized else ''}", tokenizer, SPACED)


def whole_words(normalized):
    """Tokens that were added for whole words alone, beside others of which some end in a letter."""
    signs = ["<unk>", "a", "b", " ", "-", "é", "_", "1", "²", "𝐚", "🙂", "▁"]
    tokenizer = Tokenizer(models.WordLevel({sign: i for i, sign in enumerate(signs)}, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokens = [AddedToken("ab", single_word=True, normalized=normalized), AddedToken("aba", single_word=True, lstrip=True, rstrip=True, normalized=normalized)]
    tokenizer.add_tokens([*tokens, AddedToken("[x", normalized=normalized), AddedToken("y]", normalized=not normalized)])
    return case(f"whole words{', normalized' if normalized else ''}", tokenizer, WORDS)


def normalized_tokens():
    """Tokens that were added to normalized text, as they are written."""
    words = {word: i for i, word in enumerate(["<unk>", "▁", "x", "y", "▁x", "<tool>"])}
    for name, normalizer in [("marks", normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])), ("small letters", normalizers.Lowercase())]:
        tokenizer = Tokenizer(models.BPE(words, [("▁", "x")], unk_token="<unk>", fuse_unk=True))
        tokenizer.normalizer = normalizer
        tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
        tokenizer.add_tokens([AddedToken("<tool>", normalized=True, lstrip=True, rstrip=True), AddedToken("<A>", normalized=True), AddedToken("<E>", normalized=False)])
        yield case(f"tokens of normalized text, {name}", tokenizer, CALLS)


def unknown_parts():
    """What is unknown within words, and in words next to each other."""
    pieces = ["<unk>", "a", "b", "▁a", "ab"]
    unigram = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=0))
    unigram.pre_tokenizer = pre_tokenizers.Metaspace()
    ids = {piece: i for i, piece in enumerate(pieces)}
    for fuses in [True, False]:
        pairs = Tokenizer(models.BPE(ids, [("a", "b")], unk_token="<unk>", fuse_unk=fuses))
        pairs.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        yield case(f"unknown parts, pairs{', fused' if fuses else ''}", pairs, UNKNOWN)
    yield case("unknown parts, pieces", unigram, UNKNOWN)
    marks = ["<unk>", "▁", "▁▁", "a", "▁a", "a▁", "b", "c▁b"]
    cut = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(marks)], unk_id=0))
    cut.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    yield case("pieces that marks cut", cut, UNKNOWN)


UNKNOWN = ["xx yy", "axx yb", "a x  y b", "xaxy", "x", "ab xyab yx", "a  b", "  a ", "c b a"]
SPACED = [around.replace("#", token) for token in ["[L]", "[R]", "[B]"] for around in [
    "a#a", "a # a", "a\ufeff#\ufeffa", "a\u0085#\u0085a", " \u3000\ufeff #\u00a0 \ufeff a", "\u200b#\u200b", "\t\t#\t\ta", " # # ", "a\u0085",
]]
WORDS = ["ab", "ab ab", "abab", "a ab b", "-ab-", "éab", "ab_", "ab1", "ab²", "𝐚ab", "ab𝐚", "🙂ab🙂", "aba", "a aba b", "abaab", " aba  ab ", "[x ab", "ab y]", "ab[x", "y]ab"]
CALLS = ["x <tool> y", "x<tool>y", "<tool>", "x  <tool>  y", "x <A>y", " <E> x<E>x", "<a> X"]
MARKED = ["a[N]b", "[N]a", "a[P]b[N]a", "[P]a", "Q", "[N][N]Q", "a b", "\u3000a", " a", "b[N]", "[N]", "[a"]

if __name__ == "__main__":
    cases = [make(*parts) for parts in steps()] + [metaspace(scheme) for scheme in ["always", "first", "never"]]
    first, split = pre_tokenizers.Metaspace(prepend_scheme="first", split=False), pre_tokenizers.WhitespaceSplit()
    marks = [first_mark("nothing", first), first_mark("splitting", pre_tokenizers.Sequence([split, first]))]
    cases += [each | {"texts": MARKED} for each in marks]
    cases += [added_spaces(normalized) | {"texts": SPACED} for normalized in [False, True]]
    cases += [each | {"texts": UNKNOWN} for each in unknown_parts()]
    cases += [whole_words(normalized) | {"texts": WORDS} for normalized in [False, True]]
    cases += [each | {"texts": CALLS} for each in normalized_tokens()]
    texts = {"texts": TEXTS, "metaspace": [" a", "  b", "a b", " c d", "   a", "c d"]}
    lines = ",\n".join(json.dumps(each, separators=(",", ":")) for each in cases)
    (HERE / "steps.json").write_text('{"texts":' + json.dumps(texts["texts"]) + ',\n"metaspace":' + json.dumps(texts["metaspace"]) + ',\n"cases":[\n' + lines + "]}\n")
