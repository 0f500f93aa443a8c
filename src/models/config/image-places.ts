/**
 * @file Positions in Qwen's models that read images: parts of a head are rotated by time, height and width. A text token has one
 * position for all parts.
 */
import type { GgufSetting } from "./gguf-rules.ts";
import type { RawConfig } from "./raw-config.ts";

/** The sizes of the parts in GGUF files; readers need them for text models too. */
export const SECTIONS = {
  "rope.dimension_sections": { key: "sections", type: "int32s", absent: "left-out" },
} as const satisfies Readonly<Record<string, GgufSetting>>;

/** Makes this setting of GGUF files from those of a model; default: `usual`. */
export function writeSections(
  settings: RawConfig,
  usual: readonly number[],
): { sections: readonly number[] } {
  const found = ["rope_scaling", "rope_parameters"].flatMap((key) => {
    const { mrope_section: sections } = (settings[key] ?? {}) as { mrope_section?: readonly number[] };
    return sections ? [sections] : [];
  });
  // Files have four kinds of positions, the last of which is unused.
  return { sections: [...(found[0] ?? usual), 0, 0, 0, 0].slice(0, 4) };
}

/** Returns the configuration of a text-only model, whose class has no such parts. */
export function withoutPlaces(config: RawConfig): RawConfig {
  return Object.fromEntries(
    Object.entries(config).map(([key, value]) => [
      key,
      key === "rope_scaling" || key === "rope_parameters" ? asOfText(value as RawConfig | null) : value,
    ]),
  );
}

function asOfText(rotation: RawConfig | null): RawConfig | null {
  if (rotation === null) return null;
  const { mrope_section: _sections, mrope_interleaved: _interleaved, ...others } = rotation;
  const kept = Object.entries(others).filter(([key, kind]) => !isPlain(key, kind));
  return kept.length === 0 ? null : Object.fromEntries(kept);
}

/** Whether a setting only says that nothing is scaled. */
const isPlain = (key: string, kind: unknown): boolean =>
  (key === "type" || key === "rope_type") && (kind === "mrope" || kind === "default");
