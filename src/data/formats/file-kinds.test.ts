import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { byteTokenizerFiles, createByteTokenizer } from "../../../test/tiny/byte-tokenizer.ts";
import { processorMs } from "../../train/power/processor-ms.ts";
import { readDataset, readHeldOut } from "../by-path.ts";
import type { ReadOptions } from "../files/read-files.ts";
import { createChatTemplate } from "../chat/chat-template.ts";
import { readColumns } from "../rows/columns.ts";
import { type DataUnits } from "../examples/data-kinds.ts";
import { FILE_KINDS } from "./file-kinds.ts";

const folder = mkdtempSync(join(tmpdir(), "graft-files-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const GOLDEN = join(import.meta.dirname, "../../../test/golden/data/parquet");

const tokenizer = createByteTokenizer();
const options = { tokenizer, template: createChatTemplate(byteTokenizerFiles()), maxLength: 200 };

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** The texts of a data set, without the ends of texts. */
async function textsOf(path: string, more: Partial<ReadOptions> = {}): Promise<string[]> {
  const { train } = await readDataset(path, { ...options, ...more });
  return train.map(({ ids }) => tokenizer.decode(ids, { skipSpecialTokens: true }));
}

describe("kinds of files", () => {
  const jsonLines = '{"prompt": "é,", "completion": "b\\nc"}\n{"prompt": "d", "completion": "\\"e\\""}\n';
  const written: Readonly<Record<string, string>> = {
    ".jsonl": jsonLines,
    ".ndjson": jsonLines,
    ".json": `[${jsonLines.trim().replace("\n{", ",{")}]`,
    ".csv": 'prompt,completion,other\r\n"é,","b\nc",1\r\n\r\nd,"""e""",2\r\n',
    ".tsv": 'prompt\tcompletion\né,\t"b\nc"\nd\t"""e"""\n',
  };
  for (const [ending, content] of Object.entries(written)) {
    test(`reads ${ending}, and ${ending}.gz and ${ending}.zst`, async () => {
      const expected = ["é,b\nc", 'd"e"'];
      assert.deepEqual(await textsOf(write(`rows${ending}`, content)), expected);
      assert.deepEqual(await textsOf(write(`rows${ending}.gz`, gzipSync(content))), expected);
      assert.deepEqual(await textsOf(write(`rows${ending}.zst`, zstdCompressSync(content))), expected);
    });
  }

  for (const name of ["snappy", "zstd", "gzip", "none"]) {
    test(`reads Parquet, ${name}: texts, lists of messages, numbers`, async () => {
      const { train } = await readDataset<"text">(join(GOLDEN, `chats-${name}.parquet`), options);
      assert.deepEqual(
        train.map(({ ids, source }) => [source.line, tokenizer.decode(ids)]),
        ["one", "two", "three"].map((word, i) => [
          i + 1,
          `<|im_start|>user\n${word}?<|im_end|>\n<|im_start|>assistant\n${word} é!<|im_end|>\n`,
        ]),
      );
    });
  }

  test("reads classes of Parquet, whose numbers have 64 bits", async () => {
    const classes = { names: ["no", "yes"], readAt: "last" as const };
    const { train } = await readDataset(join(GOLDEN, "classes.parquet"), {
      ...options,
      kind: "classes",
      classes,
    });
    assert.deepEqual(
      train.map(({ label }: DataUnits["classes"]) => label),
      [1, 0],
    );
  });

  test("reads calls of Parquet, whose numbers may be longer than JavaScript's and whose other fields are null", async () => {
    const files = byteTokenizerFiles();
    const template = createChatTemplate(files, {
      template:
        "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls or [] %}{{ c.function | tojson }}{% endfor %}{% endfor %}",
    });
    const { train } = await readDataset<"text">(join(GOLDEN, "calls.parquet"), { ...options, template });
    assert.deepEqual(
      train.map(({ ids, weights }) => [tokenizer.decode(ids), weights.at(-1)]),
      [
        ['one?{"name": "f", "arguments": {"id": 1234567890123456789}}', 0.5],
        ['two?{"name": "f", "arguments": {"city": "Bonn"}}', 1],
      ],
    );
    const call = { name: "f", arguments: { city: null } };
    const messages = [
      { role: "user", content: "three?" },
      { role: "assistant", tool_calls: [{ function: call }] },
    ];
    const path = write("null.jsonl", JSON.stringify({ messages }));
    assert.match((await textsOf(path, { template }))[0]!, /\{"city": null\}/, "a null of JSON is meant");
  });

  test("names the row of a fault in Parquet, and says what is wrong with a damaged file", async () => {
    await assert.rejects(
      readDataset(join(GOLDEN, "classes.parquet"), { ...options, columns: readColumns("text=none") }),
      /classes\.parquet row 1, 2 \(2 rows\): Cannot read row: no column "none", expected one of "text", "label"/,
    );
    await assert.rejects(readDataset(write("empty.parquet", ""), options), /: it is empty$/);
    await assert.rejects(readDataset(write("bad.parquet", "PAR1"), options), {
      code: "format/file",
      hint: /\./,
    });
  });

  test("refuses columns of Parquet that its schema has not, beside one that cannot be read", async () => {
    const bytes = readFileSync(join(GOLDEN, "calls.parquet"));
    // What a group of the schema has in it, and by what a column is compressed.
    [bytes[848], bytes[1050]] = [225, 71];
    await assert.rejects(readDataset(write("torn.parquet", bytes), options), {
      code: "format/file",
      message: /torn\.parquet": column messages\.list\.\S+ is not in the schema/,
    });
    // A column that nobody waits for says now that it failed.
    await setImmediate();
  });

  test("takes .txt and .md as text", async () => {
    for (const name of ["a.txt", "a.md", "a.markdown", "A.MD"]) {
      assert.deepEqual(await textsOf(write(name, "# One\n\ntwo"), { maxLength: 5 }), ["# One", "\n\ntwo"]);
    }
    assert.deepEqual(await textsOf(write("b.txt.gz", gzipSync("one"))), ["one"]);
  });

  test("refuses names that do not say what is in them", async () => {
    await assert.rejects(readDataset(write("rows.xyz", "{}"), options), {
      code: "usage/data",
      message: /rows\.xyz": its name does not show its format, expected one that ends in \.jsonl/,
    });
    await assert.rejects(readDataset(write("short.jsonl.gz", gzipSync("{}").subarray(0, 15)), options), {
      code: "format/file",
      message: /short\.jsonl\.gz": unexpected end of file/,
      hint: "Check that the file was copied completely, and is compressed as its name says.",
    });
  });

  for (const [ending, compress] of [
    [".gz", gzipSync],
    [".zst", zstdCompressSync],
  ] as const) {
    test(`tells a ${ending} that would become too much from a damaged one`, async () => {
      const path = write(`much.txt${ending}`, compress(new Uint8Array((1 << 26) + 1)));
      await assert.rejects(readDataset(path, options), {
        code: "format/file",
        message:
          /would expand to more than 67108864 bytes, expected at most 64 MiB or 64 times its own size$/,
        hint: /^Decompress it first/,
      });
    });
  }

  test("says how files of other programs become data", async () => {
    const hints = [
      ["book.xlsx", /^Save the sheet as CSV/],
      ["report.PDF", /^Save its text as a \.txt/],
      ["notes.tar.gz", /^Unpack it/],
      ["data-00000-of-00001.arrow", /to_parquet/],
      ["rows.xyz", /^Rename the file/],
    ] as const;
    for (const [name, hint] of hints)
      await assert.rejects(readDataset(write(name, "x"), options), { code: "usage/data", hint }, name);
  });

  test("says in every kind how files end", () => {
    const endings = FILE_KINDS.flatMap((kind) => kind.endings);
    assert.equal(new Set(endings).size, endings.length);
  });
});

describe("tables", () => {
  test("parts cells by semicolons where the header does", async () => {
    assert.deepEqual(await textsOf(write("semi.csv", "prompt;completion\na,b;c\n")), ["a,bc"]);
  });

  test("parts cells by what the header has outside of quotes, in a table of commas by tabs too", async () => {
    const names = { columns: readColumns({ text: "a; b; c" }) };
    assert.deepEqual(await textsOf(write("named.csv", '"a; b; c",n\nx,1\n'), names), ["x"]);
    const broken = write("broken.csv", '"text\n(en)";n\n"x, y";1\n');
    assert.deepEqual(await textsOf(broken, { columns: readColumns({ text: "text\n(en)" }) }), ["x, y"]);
    assert.deepEqual(await textsOf(write("tabs.csv", 'text\tn\n"a, b" c\t1\n"d\t2\n')), ['"a, b" c', '"d']);
    assert.deepEqual(await textsOf(write("one.csv", 'text\n"a\nb"\n')), ["a\nb"]);
  });

  test("takes lines that end as those of Windows and of others in one table", async () => {
    for (const text of [
      '"text",n\n"a ""b""",1\r\nc,"2"\n',
      'text,n\r\n"a ""b""",1\nc,2\r\n',
      'n,text\n1,"a ""b"""\r\n2,c\r\n',
      'text,n\r"a ""b""","1\n2"\rc,2\r',
    ]) {
      assert.deepEqual(await textsOf(write("ends.csv", text)), ['a "b"', "c"], text);
    }
  });

  test("takes the line in which Excel says what parts the cells", async () => {
    assert.deepEqual(await textsOf(write("told.csv", "\uFEFFsep=;\r\ntext;n\r\na,b;1\r\n")), ["a,b"]);
    assert.deepEqual(await textsOf(write("piped.csv", "sep=|\ntext|n\na;b|1\n")), ["a;b"]);
    const bare = write("bare-told.csv", "sep=;\n1;one\n2;two\n3\n");
    const columns = readColumns("text=2");
    await assert.rejects(
      readDataset(bare, { ...options, columns }),
      /bare-told\.csv:4: Cannot parse row: too few cells: 1, expected 2/,
    );
    assert.deepEqual(await textsOf(bare, { columns, skipFaulty: true }), ["one", "two"]);
  });

  test("keeps quotes of texts parted by tabs", async () => {
    const path = write("quotes.tsv", 'text\tlabel\n"Hi there\t1\n"all of it"\t2\nsay "no"\t3\n');
    assert.deepEqual(await textsOf(path), ['"Hi there', "all of it", 'say "no"']);
  });

  test("takes numbered columns of a table without a header", async () => {
    const path = write("bare.csv", "1,one\n2,two\n");
    assert.deepEqual(await textsOf(path, { columns: readColumns("text=2") }), ["one", "two"]);
  });

  test("counts rows with other numbers of cells as faulty, with their lines", async () => {
    for (const end of ["\n", "\r\n", "\r"]) {
      const broken = ['"a', 'b",completion,prompt', '1,"x', "y", 'z",p', "2,3,p", '"q', 'w",5', "7,8,p,", ""];
      const lines = write("lines.csv", broken.join(end));
      await assert.rejects(readDataset(lines, options), {
        message:
          /lines\.csv:7: Cannot parse row: too few cells: 2.*\n.*lines\.csv:9: Cannot parse row: too many cells: 4/,
      });
      const mended = write("mended.csv", broken.toSpliced(6, 3).join(end));
      const { train } = await readDataset(mended, options);
      assert.deepEqual(
        train.map(({ source }) => source.line),
        [3, 6],
      );
    }
    const path = write("odd.csv", "prompt,completion\na,b\nc\nd,e,f\ng,h\n");
    await assert.rejects(
      readDataset(path, options),
      /odd\.csv:3: Cannot parse row: too few cells: 1, expected 2\n +.*odd\.csv:4: Cannot parse row: too many cells: 3, expected 2/,
    );
    assert.deepEqual(await textsOf(path, { skipFaulty: true }), ["ab", "gh"]);
  });

  test("leaves out columns without a name, and refuses two of one name", async () => {
    assert.deepEqual(await textsOf(write("sheet.csv", ",prompt,completion,,\n0,a,b,,\n1,c,d,,x\n")), [
      "ab",
      "cd",
    ]);
    await assert.rejects(readDataset(write("same.csv", "text,text\na,b\n"), options), {
      code: "format/file",
      message: /same\.csv": two columns are named "text", expected distinct names/,
      hint: /Rename/,
    });
  });

  test("checks the names of many columns in linear time", async () => {
    const names = Array.from({ length: 60_000 }, (_, i) => `c${i}`);
    const start = processorMs();
    await assert.rejects(readDataset(write("wide.csv", `${[...names, "c0"].join(",")}\n`), options), {
      message: /two columns are named "c0"/,
    });
    assert.ok(processorMs() - start < 2000);
  });

  test("refuses a quote without an end, behind which everything would be lost", async () => {
    const path = write("open.csv", 'text\n"a\nb\n');
    await assert.rejects(readDataset(path, { ...options, skipFaulty: true }), {
      code: "format/file",
      message: /open\.csv": a quote is never closed/,
    });
  });
});

describe("columns under other names", () => {
  test("works for every form of rows", async () => {
    const path = write("names.jsonl", '{"question": "a", "answer": "b", "text": "not this"}\n');
    assert.deepEqual(await textsOf(path, { columns: readColumns("prompt=question, completion=answer") }), [
      "ab",
    ]);
    assert.deepEqual(await textsOf(path, { columns: readColumns({ text: "answer" }) }), ["b"]);
    const half = write("half.jsonl", '{"prompt": "a", "answer": "b"}\n');
    assert.deepEqual(await textsOf(half, { columns: readColumns("completion=answer") }), ["ab"]);
  });

  test("refuses what it cannot read", () => {
    for (const given of ["prompt", "prompt=", "=x", "a=b,a=c", ""]) {
      assert.throws(() => readColumns(given), { code: "usage/flag", hint: /prompt=question/ }, given);
    }
  });
});

describe("folders", () => {
  const row = (text: string): string => `${JSON.stringify({ text })}\n`;
  test("reads the hub's names of splits", async () => {
    write("hub/README.md", "# A data set");
    write("hub/data/train-00000-of-00002.jsonl", row("a"));
    write("hub/data/train-00001-of-00002.jsonl", row("b"));
    write("hub/data/validation-00000-of-00001.jsonl", row("c"));
    write("hub/data/test-00000-of-00001.jsonl", row("d"));
    const { train, valid, test } = await readDataset(join(folder, "hub"), options);
    assert.deepEqual([train.length, valid?.length, test?.length], [2, 1, 1]);
    const heldOut = await readHeldOut(join(folder, "hub"), options);
    assert.equal(tokenizer.decode(heldOut.examples[0]!.ids, { skipSpecialTokens: true }), "c");
  });

  test("reads what is held out where nothing is to be trained on", async () => {
    write("measured/test.jsonl", row("d"));
    const { examples } = await readHeldOut(join(folder, "measured"), options);
    assert.equal(tokenizer.decode(examples[0]!.ids, { skipSpecialTokens: true }), "d");
    await assert.rejects(readDataset(join(folder, "measured"), options), /no training file/);
  });

  test("names the file of a part that holds nothing", async () => {
    write("hollow/train.jsonl", row("a"));
    write("hollow/valid.jsonl", "\n");
    await assert.rejects(readDataset(join(folder, "hollow"), options), /hollow\/valid\.jsonl": no examples/);
  });

  test("takes folders that are named as splits", async () => {
    write("named/train/x.csv", "text\na\n");
    write("named/dev/y.csv", "text\nb\nc\n");
    const { train, valid } = await readDataset(join(folder, "named"), options);
    assert.deepEqual([train.length, valid?.length], [1, 2]);
  });

  test("takes all files where no name tells a split, in order, and of one name the likeliest ending", async () => {
    write("plain/b.csv", "text\nb\n");
    write("plain/a.jsonl.gz", gzipSync(row("a")));
    write("plain/a.csv", "text\nnot this\n");
    write("plain/notes.pdf", "not this");
    write("plain/.hidden.jsonl", row("not this"));
    write("plain/sub/c.txt", "c!");
    const notes: string[] = [];
    const onSkipped = (note: string): void => void notes.push(note);
    assert.deepEqual(await textsOf(join(folder, "plain"), { onSkipped }), ["a", "b", "c!"]);
    assert.match(notes.at(-1)!, /are not read: notes\.pdf\. Their names end in none of \.jsonl/);
  });

  test("takes a word among others for a part only in names of rows, or where all texts have one", async () => {
    for (const name of ["handbook", "training-guide", "dev-setup", "test-plan", "notice-period", "_draft"])
      write(`texts/${name}.md`, "ab");
    write("texts/README.md", "not this");
    write("texts/LICENSE.txt", "not this");
    assert.equal((await textsOf(join(folder, "texts"))).length, 6);
    write("split/wiki.train.txt", "ab");
    write("split/wiki.test.txt", "cd");
    assert.deepEqual(await textsOf(join(folder, "split")), ["ab"]);
    write("rows/my-train.jsonl", row("a"));
    write("rows/others.jsonl", row("b"));
    write("rows/my-train.csv", "text\nc\n");
    const notes: string[] = [];
    assert.deepEqual(await textsOf(join(folder, "rows"), { onSkipped: (note) => void notes.push(note) }), [
      "a",
    ]);
    assert.deepEqual(
      notes.map((note) => note.replaceAll(folder, "")),
      [
        "my-train.csv is not read: my-train.jsonl has the same name with another ending.",
        'Files of data set "/rows" are not read: others.jsonl. No word in their names says what they are for, as in my-train.jsonl. To train on them, rename them.',
      ],
    );
    write("held/dev.jsonl", row("a"));
    write("held/others.jsonl", row("b"));
    await assert.rejects(readDataset(join(folder, "held"), options), {
      message: /no training file: by its name, "dev\.jsonl" is held out, expected train\.jsonl/,
    });
  });

  test("refuses folders of Python's datasets, whose settings are no rows", async () => {
    for (const part of ["train", "test"])
      for (const name of ["data-00000-of-00001.arrow", "dataset_info.json", "state.json"])
        write(`saved/${part}/${name}`, "{}");
    write("saved/dataset_dict.json", "{}");
    for (const path of [join(folder, "saved"), join(folder, "saved/train")]) {
      await assert.rejects(readDataset(path, options), {
        code: "usage/data",
        message: /it is a folder of Arrow files .* expected files that end in \.jsonl/,
        hint: /to_parquet/,
      });
    }
  });

  test("refuses a folder of several data sets", async () => {
    write("two/main/train.jsonl", row("a"));
    write("two/socratic/train.jsonl", row("b"));
    await assert.rejects(readDataset(join(folder, "two"), options), {
      code: "usage/data",
      message: /it contains 2 data sets, "main", "socratic", expected one/,
    });
  });
});
