"""Makes pairs.json: two texts put together and cut by the tokenizers package (0.22), for the forms of three kinds of models.

    pip install tokenizers && python make.py > pairs.json

`ids` and `types` are those of each pair at each length; 0: not cut. The strategy is transformers' own, longest_first.
"""
import json
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = "the a cat dog sat ran on mat log big small red".split()
PAIRS = [("the cat sat", "a dog ran"), ("the", "a big red dog sat on a log"), ("the small cat sat on the red mat", "ran"),
         ("a big cat sat on the mat", "the small red dog ran on a log"), ("the cat", "the cat")]
LENGTHS = [0, 13, 12, 9, 8, 6, 5]
FORMS = {
    "BertProcessing": processors.BertProcessing(("</s>", 1), ("<s>", 0)),
    "RobertaProcessing": processors.RobertaProcessing(("</s>", 1), ("<s>", 0)),
    "template": processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 0)]),
    "none": None,
}
forms = {}
for name, processor in FORMS.items():
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(["<s>", "</s>", "<unk>", *WORDS])}, unk_token="<unk>"))
    tokenizer.add_special_tokens(["<s>", "</s>", "<unk>"])
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if processor is not None:
        tokenizer.post_processor = processor
    plain, cases = json.loads(tokenizer.to_str()), []
    for length in LENGTHS:
        if length > 0:
            tokenizer.enable_truncation(length, strategy="longest_first")
        found = [tokenizer.encode(*pair) for pair in PAIRS]
        cases.append({"length": length, "ids": [one.ids for one in found], "types": [one.type_ids for one in found]})
    forms[name] = {"tokenizer": plain, "cases": cases}
print(json.dumps({"pairs": PAIRS, "forms": forms}))
