/** @file Finds a tensor of a file by its name. */
import { FormatError } from "../../errors.ts";

/** Returns the entry of a tensor. @throws FormatError "format/tensor" when the file has no tensor of this name */
export function requireTensor<T>(tensors: ReadonlyMap<string, T>, name: string, path: string): T {
  const found = tensors.get(name);
  if (found !== undefined) return found;
  throw new FormatError(
    "format/tensor",
    `Cannot read tensor "${name}" of "${path}": it is not in the file, expected one of its tensors`,
    { hint: "The file belongs to another model, or is incomplete." },
  );
}
