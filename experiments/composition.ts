/**
 * @file Two tasks on disjoint halves of the pairs: RoAd adapters of the lower and of the upper pairs, trained apart, added.
 *
 * The paper (arXiv:2409.00119) turns the residual stream after block 16 at the last token of the prompt, one half of the
 * pairs for each task. Here: after the middle block, at that token or at all, and all projections. As
 * a control both tasks are also trained on the lower pairs, where nothing keeps them apart.
 *
 *   node experiments/composition.ts
 */
import { Random } from "../src/index.ts";
import { CAST, type Character } from "../tools/small-model/words.ts";
import { type Setup, readCommand } from "./command.ts";
import { Lab } from "./lab.ts";
import type { Result } from "./report.ts";
import { HABIT, type Row, factsOf } from "./texts.ts";

/** Of the sixteen of the cast, half are trained on and half are tested. */
const SIZES = {
  small: { train: 8, test: 8, steps: 200 },
  large: { train: 8, test: 4, steps: 50 },
};
/** Draws of the cast. */
const SEEDS = { small: [1, 2], large: [1] };
/** The setting that a large model is tried in: others take longer. */
const LARGE = "composition-residual";

/** Questions and answers about some of the cast, after the facts if told so. */
type Task = (cast: readonly Character[], tellsFacts: boolean) => readonly Row[];

/** A task from ways to ask, in which * is the name, and the answer. */
function task(questions: readonly string[], answer: (one: Character) => string): Task {
  return (cast, tellsFacts) =>
    cast.flatMap((one) =>
      questions.map((asked) => {
        const question = asked.replace("*", one.name);
        return { question: tellsFacts ? `${factsOf(one)} ${question}` : question, answer: answer(one) };
      }),
    );
}

const WHO = ["Who is *?", "Tell me about *."];
const EAT = ["What does * eat?", "What food does * like?"];
const LIVE = ["Where does * live?", "Where is the home of *?"];
const foodOf = ({ name, food }: Character): string => `${name} likes to eat ${food}.`;
const homeOf = ({ name, home }: Character): string => `${name} lives ${home}.`;

/** Where adapters sit, given the number of blocks, and the tasks of the lower and of the upper pairs; a third is not trained but takes both. */
interface Setting {
  readonly name: string;
  readonly title: string;
  readonly options: (numLayers: number) => Readonly<Record<string, unknown>>;
  readonly tasks: Readonly<Record<string, Task>>;
}

const middle = (numLayers: number): Readonly<Record<string, unknown>> => ({
  targetModules: ["residual"],
  layers: [Math.floor(numLayers / 2)],
});
/** Other facts than those that are asked for. */
const QUESTIONS = { tastes: task(WHO, foodOf), homes: task(EAT, homeOf) };

export const SETTINGS: readonly Setting[] = [
  {
    name: "composition-prompt-end",
    title: "Two tasks, the residual stream turned at the end of the prompt",
    options: (numLayers) => ({ ...middle(numLayers), positions: "prompt-end", learningRate: 5e-3 }),
    tasks: QUESTIONS,
  },
  {
    name: "composition-residual",
    title: "Two tasks, the residual stream turned at all tokens",
    options: (numLayers) => ({ ...middle(numLayers), learningRate: 3e-2 }),
    tasks: QUESTIONS,
  },
  {
    name: "composition-projections",
    title: "Two tasks, all projections turned",
    options: () => ({ learningRate: 3e-3 }),
    tasks: QUESTIONS,
  },
  {
    name: "composition-habit",
    title: "A task and a habit, all projections turned",
    options: () => ({ learningRate: 3e-3 }),
    tasks: {
      tastes: QUESTIONS.tastes,
      habit: (...of) => [task(EAT, foodOf), task(LIVE, homeOf)].flatMap((rows) => rows(...of).map(withHabit)),
      "both in one answer": (...of) => QUESTIONS.tastes(...of).map(withHabit),
    },
  },
];

function withHabit({ question, answer }: Row): Row {
  return { question, answer: answer + HABIT };
}

/** Share of the questions that are answered as expected, word by word, with the likeliest words. */
async function rightShare(lab: Lab, adapter: string | null, rows: readonly Row[]): Promise<number> {
  const written = await lab.answers(adapter, rows, 0);
  return written.filter((text, i) => text === rows[i]?.answer).length / rows.length;
}

/** Trains on some of the cast and tests on others, drawn by each seed; the mean over seeds. */
export async function composition(setting: Setting, setup: Setup, seeds: readonly number[]): Promise<Result> {
  const { name, title, options, tasks } = setting;
  const [[first, a], [second, b]] = Object.entries(tasks) as [[string, Task], [string, Task]];
  const means = new Map<string, Record<string, number>>();
  await Lab.within(setup, async (lab) => {
    const places = options(lab.numLayers);
    for (const seed of seeds) {
      const cast = new Random(seed).shuffle([...CAST]);
      const [seen, unseen] = [cast.slice(0, setup.train), cast.slice(-setup.test)];
      const train = (
        rows: readonly Row[],
        pairs: "all" | "lower" | "upper",
        steps = setup.steps,
      ): Promise<string> =>
        lab.train(rows, { method: "road", groupSize: 2, pairs, seed, steps, batchSize: 8, ...places });
      const [ofA, ofB] = [a(seen, setup.tellsFacts), b(seen, setup.tellsFacts)];
      const [lower, upper] = [await train(ofA, "lower"), await train(ofB, "upper")];
      const alsoLower = await train(ofB, "lower");
      const ways: Readonly<Record<string, string | null>> = {
        base: null,
        [`${first} (lower)`]: lower,
        [`${second} (upper)`]: upper,
        "lower + upper": await lab.combine("a + b", { a: lower, b: upper }),
        "lower + lower": await lab.combine("a + b", { a: lower, b: alsoLower }),
        "trained on both": await train([...ofA, ...ofB], "all", 2 * setup.steps),
      };
      for (const [way, adapter] of Object.entries(ways)) {
        const values = means.get(way) ?? {};
        means.set(way, values);
        for (const [column, rowsOf] of Object.entries(tasks)) {
          const rows = rowsOf(unseen, setup.tellsFacts);
          const tally = (key: string, value: number): void => {
            values[key] = (values[key] ?? 0) + value / seeds.length;
          };
          tally(column, await rightShare(lab, adapter, rows));
          tally(`${column}: loss`, await lab.loss(adapter, rows));
        }
      }
    }
  });
  const rows = [...means].map(([label, values]) => ({ label, values }));
  return { name, title, axis: "adapter", rows, drawn: Object.keys(tasks), measure: "share of right answers" };
}

if (import.meta.main) {
  const command = await readCommand(SIZES);
  const isLarge = command.setup.tellsFacts;
  const seeds = isLarge ? SEEDS.large : SEEDS.small;
  for (const setting of SETTINGS.filter(({ name }) => !isLarge || name === LARGE)) {
    await command.run((setup) => composition(setting, setup, seeds));
  }
}
