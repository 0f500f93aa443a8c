/**
 * @file Rows of a table that peft trains beside an adapter (`trainable_token_indices`): its files hold the rows themselves.
 *
 * Those of the embedding are the method's own business. Of other tables they are read as tables that are trained whole.
 */
import { z } from "zod";
import { FormatError } from "../../errors.ts";
import { sameShape, showShape } from "../../graph/shape.ts";
import type { BaseModel } from "../../models/base/base-model.ts";
import { matchSuffix } from "../../models/module-path.ts";
import { ROWS, putRows, readersOf, tableOfTokens } from "../../peft/trained-rows.ts";
import type { HostTensor } from "../../runtime/host-tensor.ts";
import { PREFIX } from "./adapter-tensors.ts";

const KEY = "trainable_token_indices";
const SUFFIX = `.${ROWS}`;

const IDS = z.array(z.int().min(0)).min(1);
/** Of the embedding, or by the names of modules. */
const INDICES = z.union([IDS, z.record(z.string(), IDS)]);

type Config = Readonly<Record<string, unknown>>;
type Tensor = HostTensor<"float32">;
type Tensors = ReadonlyMap<string, Tensor>;

/**
 * The settings and tensors of a file with rows of the embedding alone, or with whole tables in the place of rows.
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
  const found = [...tensors].flatMap(([name, rows]) => {
    if (!name.startsWith(PREFIX) || !name.endsWith(SUFFIX)) return [];
    const module = name.slice(PREFIX.length, -SUFFIX.length);
    const ids = Array.isArray(indices) ? indices : idsOf(module, indices);
    requireRows(path, base, `${module}.weight`, ids, rows);
    return [{ name, module, ids, rows }];
  });
  const [first, second] = found;
  if (first && !second && `${first.module}.weight` === tableOfTokens(base.model).name) {
    return { config: { ...config, [KEY]: first.ids }, tensors };
  }
  const whole = new Map(tensors);
  const modules: string[] = Array.isArray(saved) ? [...(saved as string[])] : [];
  for (const { name, module, ids, rows } of found) {
    const table = await tableWith(base, `${module}.weight`, ids, rows);
    whole.delete(name);
    for (const reader of readersOf(base.model, `${module}.weight`)) {
      // With other rows of its own, a tied head has not those of the embedding.
      if (reader !== module && found.some((other) => other.module === reader)) continue;
      whole.set(`${PREFIX}${reader}.weight`, table);
      modules.push(reader);
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

function requireRows(
  path: string,
  { model }: BaseModel,
  tensor: string,
  ids: readonly number[],
  rows: Tensor,
): void {
  const { shape = [] } = model.tensors.get(model.storedName(tensor)) ?? {};
  const [numRows = 0, width = 0] = shape;
  if (!sameShape(rows.shape, [ids.length, width]) || ids.some((id) => id >= numRows)) {
    throw new FormatError(
      "format/tensor",
      `Cannot use adapter "${path}": it has rows ${showShape(rows.shape)} of "${tensor}", expected ${ids.length} of a table ${showShape(shape)}`,
      { hint: "Choose the base model that the adapter was trained on." },
    );
  }
}

/** A table of the base with some rows of an adapter. */
async function tableWith(
  base: BaseModel,
  tensor: string,
  ids: readonly number[],
  rows: Tensor,
): Promise<Tensor> {
  const table = await base.read(tensor);
  putRows(table.data, ids, rows);
  return table;
}
