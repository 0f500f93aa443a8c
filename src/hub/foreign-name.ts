/** @file Recognizes names of models in the forms of other tools, and suggests what to type instead. */

/** Ollama's names, and the repositories on the hub; # stands for the size in capitals, % for the size as typed. */
const OLLAMA = new Map(
  `smollm2 1.7b HuggingFaceTB/SmolLM2-#-Instruct
  llama3.2 3b meta-llama/Llama-3.2-#-Instruct
  llama3.1 8b meta-llama/Llama-3.1-#-Instruct
  qwen2.5 7b Qwen/Qwen2.5-#-Instruct
  qwen3 8b Qwen/Qwen3-#
  gemma2 9b google/gemma-2-%-it
  gemma3 4b google/gemma-3-%-it
  mistral 7b mistralai/Mistral-7B-Instruct-v0.3
  phi3 mini microsoft/Phi-3-mini-4k-instruct
  tinyllama 1.1b TinyLlama/TinyLlama-1.1B-Chat-v1.0`
    .split("\n")
    .map((line) => line.trim().split(" ") as [string, string, string])
    .map(([name, size, repository]) => [name, { size, repository }]),
);

/** What kind of name it is, and what to type instead. */
interface ForeignName {
  readonly what: string;
  readonly hint: string;
}

const EXAMPLE = "HuggingFaceTB/SmolLM2-135M-Instruct";
const QUANTIZED = /^(?:I?Q\d\w*|F16|F32|BF16)$/i;
const ADDRESS = /^(?:https?:\/\/)?(?:www\.)?(?:huggingface\.co|hf\.co)\//i;

/** Explains a name that is neither a path nor a repository; null: its kind is unknown. */
export function explainForeignName(given: string): ForeignName | null {
  const name = given.replace(ADDRESS, "");
  const file = /^([^/]+\/[^/]+)\/(?:blob|resolve|raw)\/[^/]+\/(.+?)(?:\?.*)?$/.exec(name);
  if (file !== null && name !== given) {
    return {
      what: `a file of "${file[1]}" on the hub`,
      hint: /\.gguf$/i.test(file[2] ?? "")
        ? "Download the file and give its path, or give the name of the model's safetensors repository."
        : `Give the name of the repository, ${file[1]}.`,
    };
  }
  if (/^[a-z]+:\/\//i.test(given)) {
    return {
      what: "an address",
      hint: `Download it and give its path, or a name on the hub such as ${EXAMPLE}.`,
    };
  }
  const [, model = "", tag = ""] = /^([^\s:]+):([^\s:/]+)$/.exec(name) ?? [];
  if (tag === "") return null;
  if (QUANTIZED.test(tag) && model.includes("/")) {
    const plain = model.replace(/-GGUF$/i, "");
    return {
      what: `the name of a ${tag} file for Ollama or llama.cpp`,
      hint: `Download the .gguf file and give its path, or give the model's own name, such as ${plain}.`,
    };
  }
  if (model.includes("/"))
    return { what: "a name with a tag", hint: `Give just OWNER/NAME: ${model}, or ${model}@REVISION.` };
  const known = OLLAMA.get(model.toLowerCase());
  const size = /^(\d+(?:\.\d+)?[bm])\b/i.exec(tag)?.[1] ?? known?.size ?? "";
  const repository = known?.repository.replace("#", size.toUpperCase()).replace("%", size);
  return {
    what: "an Ollama name",
    hint: `Give the model's name on the hub, such as ${repository ?? EXAMPLE}.`,
  };
}
