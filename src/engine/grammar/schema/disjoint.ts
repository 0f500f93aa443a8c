/** @file Tells whether no value can have both of two shapes. Only simple cases are detected. */
import { hasNone } from "../rules/number-range.ts";
import { type JsonType, type ValueShape, type View, hasType, isNever, meet, propertyOf } from "./shape.ts";

/** Levels of objects in which to look for properties that distinguish two shapes. */
const MAX_DEPTH = 4;

/** Whether certainly no value has both shapes. */
export function areDisjoint(
  a: ValueShape,
  b: ValueShape,
  shapesOf: (view: View) => readonly ValueShape[],
  depth = 0,
): boolean {
  const both = meet(a, b);
  if (!both) return true;
  if (both.literals) {
    return !both.literals.some((value) => hasType(value, both));
  }
  const types = [...both.types].filter((type) => !isEmpty(type, both));
  if (types.length === 0) return true;
  if (depth >= MAX_DEPTH || types.length > 1 || types[0] !== "object") return false;
  return [...both.required].some((name) => {
    const [own, other] = [propertyOf(a, name), propertyOf(b, name)];
    if (isNever(own) || isNever(other)) return true;
    return shapesOf(own).every((one) =>
      shapesOf(other).every((another) => areDisjoint(one, another, shapesOf, depth + 1)),
    );
  });
}

/** Whether a shape certainly has no value of a type, by its bounds. */
function isEmpty(type: JsonType, { bounds, minLength, maxLength, minItems, maxItems }: ValueShape): boolean {
  if (type === "integer" || type === "number") return hasNone(bounds);
  return (type === "string" && minLength > maxLength) || (type === "array" && minItems > maxItems);
}
