/**
 * @file How Qwen's models that read images place them: parts of a head are rotated by time, by height and by width. A token of a text
 * has one position, by which all parts are.
 */
import type { GgufSetting } from "./gguf-rules.ts";
import type { RawConfig } from "./raw-config.ts";

/** The parts, in GGUF files; readers want them of texts too. */
export const SECTIONS = {
  "rope.dimension_sections": { key: "sections", type: "int32s", absent: "left-out" },
} as const satisfies Readonly<Record<string, GgufSetting>>;

/** What files have, by the settings of a model; `usual`: where these have none. */
export function writeSections(
  settings: RawConfig,
  usual: readonly number[],
): { sections: readonly number[] } {
  const found = ["rope_scaling", "rope_parameters"].flatMap((key) => {
    const { mrope_section: sections } = (settings[key] ?? {}) as { mrope_section?: readonly number[] };
    return sections ? [sections] : [];
  });
  // Of four kinds of positions the last is none.
  return { sections: [...(found[0] ?? usual), 0, 0, 0, 0].slice(0, 4) };
}

/** The configuration of a model for text alone, whose class knows no such parts. */
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

/** Whether a setting says that nothing is scaled. */
const isPlain = (key: string, kind: unknown): boolean =>
  (key === "type" || key === "rope_type") && (kind === "mrope" || kind === "default");
