/** @file The tensors of a program, in groups that are made together: those of a block at once, others one by one. */
import type { TensorRead } from "../../models/graphs/part-tensors.ts";
import type { AdapterView } from "../../peft/adapter-view.ts";
import { prepareAll } from "../../run/head/head-graph.ts";
import type { Session } from "../../run/session.ts";
import type { HostTensor, Tensors } from "../../runtime/host-tensor.ts";

/** Tensors that are made together. */
export interface TensorGroup {
  /** Names of their inputs, in the order of the file. */
  readonly names: readonly string[];
  /** Makes the tensors and calls `use` with them, by name; they are released afterwards. @throws as the model's source */
  lend(use: (tensors: Tensors) => Promise<void>): Promise<void>;
}

export class TensorGroups {
  readonly all: TensorGroup[] = [];
  readonly #session: Session;
  readonly #adapter: AdapterView;

  constructor(session: Session, adapter: AdapterView) {
    this.#session = session;
    this.#adapter = adapter;
  }

  /** Adds tensors of a block by their full names: the adapter's, and what programs read of the base's. */
  addBlock(layer: number, names: readonly string[], reads: readonly TensorRead[]): void {
    const { model, weights } = this.#session;
    const own = { ...this.#adapter.inputs(layer), ...this.#adapter.constants(layer) };
    this.all.push({
      names,
      lend: async (use) => {
        const loan = await weights.borrow(layer, reads);
        const all = Object.entries<HostTensor>({ ...loan.tensors, ...own });
        const tensors = new Map(all.map(([path, tensor]) => [model.tensorName(layer, path), tensor]));
        const lent = names.map((name) => [name, tensors.get(name)!] as const);
        await use(Object.fromEntries(lent)).finally(() => loan.release());
      },
    });
  }

  /** Adds tensors outside the blocks: the adapter's, those made of `reads`, or the base's. */
  addOutside(names: readonly string[], reads: readonly TensorRead[]): void {
    const own = this.#adapter.inputs(null);
    for (const name of names) {
      this.addOne(name, async () => {
        const made = await prepareAll(this.#session, reads);
        return own[name] ?? made[name] ?? (await this.#session.base.read(name));
      });
    }
  }

  addOne(name: string, make: () => HostTensor | Promise<HostTensor>): void {
    this.all.push({ names: [name], lend: async (use) => await use({ [name]: await make() }) });
  }
}
