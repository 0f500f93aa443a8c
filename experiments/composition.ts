/**
 * @file Two tasks on disjoint halves of the pairs: RoAd adapters of the lower and of the upper pairs, trained apart, added.
 *
 * The paper (arXiv:2409.00119) turns the residual stream after block 16 at the last token of the prompt, one half of the
 * pairs for each task. Here: after the middle block of the small model, at that token or at all, and all projections. As
 * a control both tasks are also trained on the lower pairs, where nothing keeps them apart.
 *
 *   node experiments/composition.ts
 */
import { Random, openTextModel } from "../src/index.ts";
import { CAST, type Character } from "../tools/small-model-words.ts";
import { Lab, type Size, chosenSize } from "./lab.ts";
import { type Result, tell } from "./report.ts";
import { HABIT, type Row } from "./texts.ts";

/** Of the sixteen of the cast, half are trained on and half are tested. */
const SIZE: Size = { train: 8, test: 8, steps: 200 };
const SEEDS = [1, 2];

/** Questions and answers about some of the cast. */
type Task = (cast: readonly Character[]) => readonly Row[];

/** A task from ways to ask, in which * is the name, and the answer. */
function task(questions: readonly string[], answer: (one: Character) => string): Task {
  return (cast) =>
    cast.flatMap((one) =>
      questions.map((question) => ({ question: question.replace("*", one.name), answer: answer(one) })),
    );
}

const WHO = ["Who is *?", "Tell me about *."];
const EAT = ["What does * eat?", "What food does * like?"];
const LIVE = ["Where does * live?", "Where is the home of *?"];
const foodOf = ({ name, food }: Character): string => `${name} likes to eat ${food}.`;
const homeOf = ({ name, home }: Character): string => `${name} lives ${home}.`;

/** Where adapters sit, and the tasks of the lower and of the upper pairs; a third is not trained but takes both. */
interface Setting {
  readonly name: string;
  readonly title: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly tasks: Readonly<Record<string, Task>>;
}

const MIDDLE = { targetModules: ["residual"], layers: [2] };
/** Other facts than those that are asked for. */
const QUESTIONS = { tastes: task(WHO, foodOf), homes: task(EAT, homeOf) };

export const SETTINGS: readonly Setting[] = [
  {
    name: "composition-prompt-end",
    title: "Two tasks, the residual stream turned at the end of the prompt",
    options: { ...MIDDLE, positions: "prompt-end", learningRate: 5e-3 },
    tasks: QUESTIONS,
  },
  {
    name: "composition-residual",
    title: "Two tasks, the residual stream turned at all tokens",
    options: { ...MIDDLE, learningRate: 3e-2 },
    tasks: QUESTIONS,
  },
  {
    name: "composition-projections",
    title: "Two tasks, all projections turned",
    options: { learningRate: 3e-3 },
    tasks: QUESTIONS,
  },
  {
    name: "composition-habit",
    title: "A task and a habit, all projections turned",
    options: { learningRate: 3e-3 },
    tasks: {
      tastes: QUESTIONS.tastes,
      habit: (cast) =>
        [task(EAT, foodOf), task(LIVE, homeOf)].flatMap((rowsOf) => rowsOf(cast).map(withHabit)),
      "both in one answer": (cast) => QUESTIONS.tastes(cast).map(withHabit),
    },
  },
];

function withHabit({ question, answer }: Row): Row {
  return { question, answer: answer + HABIT };
}

/** Share of the questions that are answered as expected, word by word, with the likeliest words. */
async function rightShare(lab: Lab, adapter: string | null, rows: readonly Row[]): Promise<number> {
  const model = await openTextModel(lab.model, adapter === null ? {} : { adapterPath: adapter });
  try {
    let count = 0;
    for (const { question, answer } of rows) {
      const ids = model.encodeChat([{ role: "user", content: question }]);
      const sampling = { temperature: 0, topK: 0, topP: 1 };
      if ((await model.write(ids, { sampling, maxNewTokens: 40 })).text === answer) count++;
    }
    return count / rows.length;
  } finally {
    await model.close();
  }
}

/** Trains on some of the cast and tests on others, drawn by each seed; the mean over seeds. */
export async function composition(setting: Setting, size: Size, seeds = SEEDS): Promise<Result> {
  const { name, title, options, tasks } = setting;
  const [[first, a], [second, b]] = Object.entries(tasks) as [[string, Task], [string, Task]];
  const means = new Map<string, Record<string, number>>();
  const lab = await Lab.open();
  try {
    for (const seed of seeds) {
      const cast = new Random(seed).shuffle([...CAST]);
      const [seen, unseen] = [cast.slice(0, size.train), cast.slice(-size.test)];
      const train = (rows: readonly Row[], pairs: string, steps = size.steps): Promise<string> =>
        lab.train(rows, { steps }, { method: "road", groupSize: 2, pairs, seed, batchSize: 8, ...options });
      const [lower, upper] = [await train(a(seen), "lower"), await train(b(seen), "upper")];
      const alsoLower = await train(b(seen), "lower");
      const ways: Readonly<Record<string, string | null>> = {
        base: null,
        [`${first} (lower)`]: lower,
        [`${second} (upper)`]: upper,
        "lower + upper": await lab.combine("a + b", { a: lower, b: upper }),
        "lower + lower": await lab.combine("a + b", { a: lower, b: alsoLower }),
        "trained on both": await train([...a(seen), ...b(seen)], "all", 2 * size.steps),
      };
      for (const [way, adapter] of Object.entries(ways)) {
        const values = means.get(way) ?? {};
        means.set(way, values);
        for (const [column, rowsOf] of Object.entries(tasks)) {
          const rows = rowsOf(unseen);
          const tally = (key: string, value: number): void => {
            values[key] = (values[key] ?? 0) + value / seeds.length;
          };
          tally(column, await rightShare(lab, adapter, rows));
          tally(`${column}: loss`, await lab.loss(adapter, rows));
        }
      }
    }
  } finally {
    await lab.close();
  }
  const rows = [...means].map(([label, values]) => ({ label, values }));
  return { name, title, axis: "adapter", rows, drawn: Object.keys(tasks) };
}

if (import.meta.main) {
  for (const setting of SETTINGS) {
    const start = performance.now();
    tell(await composition(setting, chosenSize(SIZE)), (performance.now() - start) / 1000);
  }
}
