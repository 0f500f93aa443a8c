/** @file PEFT folders of LoRA as a form of adapter files. */
import { PREFIX, heldTensors } from "../../format/adapters/adapter-tensors.ts";
import { readAdapter, readAdapterConfig, writeAdapter } from "../../format/by-path.ts";
import type { FactorPair } from "../../peft/algebra/contract.ts";
import { type Adapter, attach } from "../../peft/attach.ts";
import type { AdaptedSite } from "../../peft/layout.ts";
import type { Method } from "../../peft/method.ts";
import { findMethodOfConfig } from "../../peft/methods.ts";
import type { SiteTensors } from "../../peft/sites/site.ts";
import { type AdapterForm, type ModuleFactors, cannotConvert } from "../adapter-form.ts";

const EXPECTED = "a product of two matrices for each module, as in LoRA";
const HINT = "Merge it into its model with graft merge, for programs that do not support adapters.";

/**
 * Returns how changes of a method are split into factors. @throws UsageError "usage/adapter" for changes that are no such
 * products
 */
function factorAlgebraOf(path: string, method: Method) {
  const algebra = method.kind === "base" ? "not-composable" : method.algebra;
  // Factors that cannot be concatenated are vectors between matrices that all modules share.
  if (algebra !== "not-composable" && algebra.kind === "factors" && algebra.notConcatenable === null)
    return algebra;
  throw cannotConvert(path, `what ${method.name} changes`, EXPECTED, HINT);
}

/** @throws UsageError "usage/adapter" for an adapter that is not, or not only, such products */
function splitAll(path: string, adapter: Adapter): ModuleFactors {
  const { method, options, sites, parameters } = adapter;
  const algebra = factorAlgebraOf(path, method);
  const refusal = algebra.refuses(options);
  if (refusal !== null) throw cannotConvert(path, refusal, "an adapter without that", HINT);
  const whole = parameters.find(({ owner }) => owner.kind === "base");
  if (whole)
    throw cannotConvert(path, `it trains ${whole.name} of the base`, "adapters on modules only", HINT);
  const held = heldTensors(adapter);
  const factors = new Map<string, FactorPair>();
  for (const site of sites.values()) {
    const tensors: Record<string, SiteTensors[string]> = {};
    for (const suffix of algebra.suffixes) {
      const found = held.get(`${PREFIX}${site.path}.${suffix}`);
      if (found) tensors[suffix] = found;
    }
    factors.set(site.path, algebra.split({ tensors, options: site.options }));
  }
  return factors;
}

/** The trained tensors of a site, as views. */
function trainedAt(adapter: Adapter, { path, parameters }: AdaptedSite): SiteTensors {
  return Object.fromEntries(parameters.map(({ suffix }) => [suffix, adapter.tensor(`${path}.${suffix}`)!]));
}

export const peft: AdapterForm = {
  name: "peft",
  summary: "folders of Python's peft, which graft trains and vLLM serves",
  keptIn: "folder",
  namesModel: true,
  isAt: (_path, names) => names?.some((name) => name.startsWith("adapter_model.")) ?? false,

  async requireFactors(path) {
    factorAlgebraOf(path, findMethodOfConfig(path, await readAdapterConfig(path)));
  },

  async read(path, { base }) {
    const { adapter } = await readAdapter(path, base);
    try {
      return splitAll(path, adapter);
    } finally {
      adapter.release();
    }
  },

  async write(path, factors, { base, checkpoint }, provenance) {
    const method = findMethodOfConfig(path, { peft_type: "LORA" });
    const algebra = factorAlgebraOf(path, method);
    const request = { method, options: {}, targets: { modules: [...factors.keys()] } };
    const usual = await attach(base, request, null);
    const join = (site: AdaptedSite): ReturnType<typeof algebra.join> =>
      algebra.join(factors.get(site.path)!, {
        tensors: trainedAt(usual, site),
        options: site.options,
      });
    let joined: ReadonlyMap<string, ReturnType<typeof join>>;
    try {
      joined = new Map([...usual.sites.values()].map((site) => [site.path, join(site)]));
    } finally {
      usual.release();
    }
    const siteOptions = new Map([...joined].map(([site, { options }]) => [site, options]));
    const options = algebra.optionsOf(siteOptions, [usual.options]);
    const adapter = await attach(base, { ...request, options }, null);
    try {
      for (const site of adapter.sites.values()) {
        const own = trainedAt(adapter, site);
        const { tensors } = joined.get(site.path)!;
        for (const [suffix, { data }] of Object.entries(tensors)) own[suffix]!.data.set(data);
      }
      await writeAdapter(path, adapter, { base, checkpoint, chatTemplateHash: null, provenance });
    } finally {
      adapter.release();
    }
  },
};
