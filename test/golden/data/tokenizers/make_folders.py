"""What transformers' AutoTokenizer makes of folders whose settings say other things than their tokenizer.json does.

    pip install transformers==5.24.0 tokenizers==0.23.3
    python -B make_folders.py      # writes folders.json here
"""
import json
import tempfile
from pathlib import Path
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).parent
CORPUS = ["Hello world, the lamp costs 84 euros.", "a lamp is round <tool> yes", "Hello there"] * 5
TEXTS = ["Hello world", "a<tool>lamp <extra> x", "<end>Hello", "", "Hello <a> there<b> ok"]
LETTERS = Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+")


def bytes_of(prefix, pre=None):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre or pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=290, special_tokens=["<end>"], initial_alphabet=alphabet, show_progress=False))
    return tokenizer


def pieces():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    first = ["<unk>", "<s>", "</s>", *[f"<0x{byte:02X}>" for byte in range(256)]]
    tokenizer.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=first, show_progress=False))
    fields = json.loads(tokenizer.to_str())
    fields["added_tokens"] = fields["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(fields))


TOKENIZERS = {
    "bytes": bytes_of(False),
    "bytes with a space": bytes_of(True),
    "bytes in letters": bytes_of(False, pre_tokenizers.Sequence([pre_tokenizers.Split(LETTERS, "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])),
    "pieces": pieces(),
}
GPT2 = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<end>", "bos_token": "<end>", "unk_token": "<end>"}
FAST = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<end>"}
LLAMA = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
TOOL = {"content": "<tool>", "lstrip": True, "rstrip": False, "normalized": False, "single_word": False, "__type": "AddedToken"}
LISTED = {"400": {"content": "<extra>", "special": True, "lstrip": False, "rstrip": False, "normalized": False, "single_word": False}}
BOTH = ["<tool>", "<extra>"]


def cases():
    for name, config in [("GPT-2", GPT2), ("fast", FAST)]:
        yield f"{name}, prefix", "bytes", {**config, "add_prefix_space": True}, {}
        yield f"{name}, no prefix", "bytes with a space", {**config, "add_prefix_space": False}, {}
        yield f"{name}, silent", "bytes with a space", config, {}
    yield "no class, prefix", "bytes", {"eos_token": "<end>", "add_prefix_space": True}, {}
    yield "NeoX, no prefix", "bytes with a space", {**GPT2, "tokenizer_class": "GPTNeoXTokenizer", "pad_token": "<end>", "add_prefix_space": False}, {}
    for prefix in [True, False]:
        yield f"Qwen, {'' if prefix else 'no '}prefix", "bytes in letters", {**GPT2, "tokenizer_class": "Qwen2Tokenizer", "add_prefix_space": prefix}, {}
    yield "Llama, no prefix", "pieces", {**LLAMA, "add_prefix_space": False}, {}
    yield "additional", "bytes", {**FAST, "additional_special_tokens": BOTH}, {}
    yield "additional, as objects", "bytes", {**FAST, "additional_special_tokens": [TOOL]}, {}
    yield "extra", "bytes", {**FAST, "extra_special_tokens": BOTH}, {}
    yield "extra, by names", "bytes", {**FAST, "extra_special_tokens": {"tool_token": "<tool>"}}, {}
    yield "named", "bytes", {**FAST, "cls_token": "<b>", "pad_token": "<a>"}, {}
    yield "listed and additional", "bytes", {**FAST, "added_tokens_decoder": LISTED, "additional_special_tokens": BOTH}, {}
    yield "a word of the vocabulary", "bytes", {**FAST, "additional_special_tokens": ["lo"]}, {}
    older = {"additional_special_tokens": BOTH}
    yield "older", "bytes", FAST, {"special_tokens_map.json": older}
    yield "older, and additional", "bytes", {**FAST, "additional_special_tokens": ["<tool>"]}, {"special_tokens_map.json": {"additional_special_tokens": ["<extra>"]}}
    yield "older, and listed", "bytes", {**FAST, "added_tokens_decoder": LISTED}, {"special_tokens_map.json": older}
    yield "older, named", "bytes", FAST, {"special_tokens_map.json": {"pad_token": "<a>", "sep_token": {**TOOL, "content": "<b>"}}}
    yield "older, added", "bytes", FAST, {"added_tokens.json": {"<tool>": 291, "<extra>": 290}}


def case(name, kind, config, files):
    for key in ["__type"]: files = {file: {token: {k: v for k, v in value.items() if k != key} if isinstance(value, dict) else value for token, value in tokens.items()} for file, tokens in files.items()}
    with tempfile.TemporaryDirectory() as folder:
        TOKENIZERS[kind].save(f"{folder}/tokenizer.json")
        for file, value in {"config.json": {"model_type": "gpt2"}, "tokenizer_config.json": config, **files}.items():
            Path(folder, file).write_text(json.dumps(value))
        tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    return {"name": name, "tokenizer": kind, "config": config, "files": files, "ids": ids, "decoded": [tokenizer.decode(row) for row in ids]}


made = {"texts": TEXTS, "tokenizers": {name: json.loads(one.to_str()) for name, one in TOKENIZERS.items()}, "cases": [case(*each) for each in cases()]}
HERE.joinpath("folders.json").write_text(json.dumps(made, ensure_ascii=False, separators=(",", ":")) + "\n")
