/**
 * @file The words of the small model's text: a cast whose facts never change, and tables of things and facts.
 */

/** One of the cast; the facts never change. */
export interface Character {
  readonly name: string;
  readonly he: string;
  readonly his: string;
  readonly look: string;
  readonly kind: string;
  readonly home: string;
  readonly food: string;
}

const rows = (table: string): string[][] =>
  table
    .trim()
    .split("\n")
    .map((row) => row.split("|").map((cell) => cell.trim()));
const list = (words: string): string[] => words.split(",").map((word) => word.trim());
/** Gives a sentence its first capital letter. */
export const capital = (sentence: string): string => sentence.charAt(0).toUpperCase() + sentence.slice(1);

export const CAST: readonly Character[] = rows(`
  Pip|he|small red|fox|in the forest|berries
  Ada|she|kind|girl|in the village|bread
  Bruno|he|big brown|bear|in a cave|honey
  Mimi|she|soft white|cat|at the mill|fish
  Otto|he|cheerful|farmer|on the farm|soup
  Lulu|she|little yellow|duck|by the lake|corn
  Hugo|he|tall|boy|in the village|cake
  Nell|she|quick grey|mouse|under the bridge|cheese
  Rolf|he|loud black|dog|on the farm|meat
  Tilda|she|clever|crow|in a hollow tree|nuts
  Finn|he|shy green|frog|in the pond|flies
  Greta|she|gentle|cow|in the meadow|grass
  Sam|he|busy|baker|beside the market|pears
  Wanda|she|slow brown|turtle|by the river|leaves
  Kit|he|funny|goat|on the hill|apples
  Rosa|she|wise|teacher|near the school|plums
`).map(([name = "", he = "", look = "", kind = "", home = "", food = ""]) => ({
  name,
  he,
  his: he === "he" ? "his" : "her",
  look,
  kind,
  home,
  food,
}));

export const PLACES = list(
  "the forest, the market, the river, the hill, the farm, the lake, the old mill, the bridge, the meadow, the school, the garden, the pond",
);
export const THINGS = list(
  "ball, kite, hat, bell, book, drum, cup, key, scarf, basket, lamp, spoon, whistle, ribbon, coat",
);
export const COLOURS = list("red, blue, green, yellow, white, black, brown, grey");
export const SPOTS = list(
  "under the bench, behind a tree, in the tall grass, beside the well, inside a barrel, between two stones, near the gate, on the wall, below the window, under some leaves",
);
export const WEATHERS = list("clear, cold, windy, rainy, warm, quiet, cloudy");
export const TIMES = list("morning, day, evening, night, afternoon");
export const PLANTS = list("beans, roses, carrots, onions, peas, flowers");
export const REASONS = list(
  "it was a birthday, the winter was long, they were good friends, it was the first day of spring",
);

/** animal | what it eats | where it lives | what it does */
export const ANIMALS = rows(`
  cow|grass|on a farm|gives milk
  hen|corn|on a farm|gives eggs
  sheep|grass|in a meadow|gives wool
  bee|flowers|in a garden|makes honey
  dog|meat|in a house|guards the door
  cat|fish|in a house|sleeps all day
  bird|seeds|in a tree|sings a song
  fish|worms|in the water|swims all day
  horse|apples|in a barn|pulls the cart
  rabbit|carrots|in a hole|runs very fast
  spider|flies|in a corner|makes a web
`);
/** thing | its colour */
export const TINTS = rows(`
  grass|green
  snow|white
  the sky|blue
  the sun|yellow
  coal|black
  blood|red
  milk|white
  the night|black
  a leaf|green
  a cherry|red
  mud|brown
`);
/** thing | what people do with it */
export const USES = rows(`
  a cup|drink
  a spoon|eat soup
  a bed|sleep
  a key|open the door
  a book|read
  a coat|stay warm
  a lamp|see at night
  a drum|make music
  a boat|cross the river
  a knife|cut bread
`);
export const OPPOSITES = rows(`
  big|small
  hot|cold
  day|night
  old|young
  fast|slow
  loud|quiet
  wet|dry
  happy|sad
  open|closed
  heavy|light
  full|empty
`);

/** boat | captain | what it carries | from where */
export const BOATS = rows(`
  Heron|Maren|herring|the north bay
  Anchor|Joss|salt|the south coast
  Gull|Ingrid|crabs|the long reef
  Storm|Elias|rope|the far island
  Pearl|Signe|barrels of oil|the east pier
  Otter|Anton|mussels|the river mouth
`);
