/**
 * @file Rows of a table that peft trains beside an adapter (`trainable_token_indices`): its files hold the rows themselves.
 *
 * Read as tables that are trained whole: the embedding, and a head that is tied to it, which reads the same rows.
 */
import { z } from "zod";
import { FormatError } from "../../errors.ts";
import { sameShape, showShape } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { matchSuffix, moduleOf } from "../../models/module-path.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { PREFIX } from "./adapter-tensors.ts";

const KEY = "trainable_token_indices";
const ROWS = ".token_adapter.trainable_tokens_delta";

const IDS = z.array(z.int().min(0)).min(1);
/** Of the embedding, or by the names of modules. */
const INDICES = z.union([IDS, z.record(z.string(), IDS)]);

type Config = Readonly<Record<string, unknown>>;
type Tensor = HostTensor<"float32">;
type Tensors = ReadonlyMap<string, Tensor>;

/**
 * The settings and tensors of a file with whole tables in the place of rows.
 * @throws FormatError "format/tensor" for rows that are not those of the settings, or that the model does not have
 */
export async function withWholeTables(
  path: string,
  base: BaseModel,
  config: Config,
  tensors: Tensors,
): Promise<{ readonly config: Config; readonly tensors: Tensors }> {
  const { [KEY]: given = null, modules_to_save: saved, ...others } = config;
  const indices = INDICES.safeParse(given).data;
  if (indices === undefined) return { config, tensors };
  const whole = new Map(tensors);
  const modules: string[] = Array.isArray(saved) ? [...(saved as string[])] : [];
  for (const [name, rows] of tensors) {
    if (!name.startsWith(PREFIX) || !name.endsWith(ROWS)) continue;
    const module = name.slice(PREFIX.length, -ROWS.length);
    const ids = Array.isArray(indices) ? indices : idsOf(module, indices);
    const table = await tableWith(path, base, `${module}.weight`, ids, rows);
    whole.delete(name);
    for (const tensor of readersOf(base, `${module}.weight`)) {
      whole.set(PREFIX + tensor, table);
      modules.push(moduleOf(tensor));
    }
    base.addNote(
      `Adapter "${path}" trained ${ids.length} rows of ${module}: all of its rows are held in memory, and would be trained`,
    );
  }
  return { config: { ...others, modules_to_save: modules }, tensors: whole };
}

function idsOf(module: string, indices: Readonly<Record<string, readonly number[]>>): readonly number[] {
  return Object.entries(indices).find(([name]) => matchSuffix(name, module))?.[1] ?? [];
}

/** The tensors that are one in the base's files. */
function readersOf({ model }: BaseModel, tensor: string): readonly string[] {
  const tied = [...model.ties].flatMap(([name, source]) => (source === tensor ? [name] : []));
  return [tensor, ...tied];
}

/** A table of the base with some rows of an adapter. */
async function tableWith(
  path: string,
  base: BaseModel,
  tensor: string,
  ids: readonly number[],
  rows: Tensor,
): Promise<Tensor> {
  const { shape = [] } = base.model.tensors.get(base.model.storedName(tensor)) ?? {};
  const [numRows = 0, width = 0] = shape;
  if (!sameShape(rows.shape, [ids.length, width]) || ids.some((id) => id >= numRows)) {
    throw new FormatError(
      "format/tensor",
      `Cannot use adapter "${path}": it has rows ${showShape(rows.shape)} of "${tensor}", expected ${ids.length} of a table ${showShape(shape)}`,
      { hint: "Choose the base model that the adapter was trained on." },
    );
  }
  const table = await base.read(tensor);
  for (const [i, id] of ids.entries()) {
    table.data.set(rows.data.subarray(i * width, (i + 1) * width), id * width);
  }
  return table;
}
