"""Which settings transformers' configurations refuse as whole numbers, and which as floats, by model_type of the tiny configurations.

    pip install transformers==5.24.0
    python -B make.py      # writes numbers.json here
"""
import dataclasses
import json
import re
from pathlib import Path
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

HERE = Path(__file__).parent
TINY = (HERE / "../../../tiny/configs.ts").read_text()


def is_refused(config, name, value):
    """Whether the type of a setting is why a configuration cannot be made."""
    try:
        config(**{name: value})
    except Exception as error:
        return f"Validation error for field '{name}'" in str(error)
    return False


def numbers(config):
    found = {"floats": [], "integers": [], "lists": []}
    for name in sorted(field.name for field in dataclasses.fields(config)):
        takes_integer, takes_float = not is_refused(config, name, 1), not is_refused(config, name, 1.0)
        if takes_integer != takes_float:
            found["integers" if takes_integer else "floats"].append(name)
        if any(is_refused(config, name, [1] * n) and not is_refused(config, name, [1.0] * n) for n in range(1, 6)):
            found["lists"].append(name)
    return found


names = sorted(set(re.findall(r'model_type: "([\w-]+)"', TINY)) & set(CONFIG_MAPPING))
lines = [f"  {json.dumps(name)}: {json.dumps(numbers(CONFIG_MAPPING[name]))}" for name in names]
(HERE / "numbers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
