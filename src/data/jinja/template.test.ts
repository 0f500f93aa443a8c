import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { processorMs } from "../../train/power/processor-ms.ts";
import { LongInteger } from "../formats/long-integer.ts";
import { parseTemplate } from "./template.ts";

const variables = {
  messages: [
    { role: "user", content: " \n a\u0085b 😀z\u00a0\n", items: ["i"] },
    {
      role: "assistant",
      content: "A",
      calls: [{ name: "f", arguments: { city: "Zürich", "it's": "\"q'" } }],
    },
  ],
  numbers: [3, 1.5, -7, 1e-7, 1e21, 123456789012345680, new LongInteger("12345678901234567890")],
  tools: null,
};

/** What a template writes, which is what Python's jinja2 writes as transformers' `apply_chat_template` sets it up. */
const WRITTEN: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  "values as texts": {
    "{{ none }}|{{ true }}|{{ missing }}|{{ [1, 'a', none, 2.0] }}|{{ (1, 2) }}":
      "None|True||[1, 'a', None, 2.0]|(1, 2)",
    "{{ messages[1].calls[0] }}":
      "{'name': 'f', 'arguments': {'city': 'Zürich', \"it's\": '\"q\\'' }}".replace(" }}", "}}"),
    "{{ numbers }}": "[3, 1.5, -7, 1e-07, 1e+21, 1.2345678901234568e+17, 12345678901234567890]",
    "{{ 'a' ~ none ~ 1 ~ missing ~ 2.50 }}": "aNone12.5",
  },
  JSON: {
    "{{ messages[1].calls | tojson }}": '[{"name": "f", "arguments": {"city": "Zürich", "it\'s": "\\"q\'"}}]',
    "{{ {'b': [1, {}], 'a': []} | tojson(indent=2) }}": '{\n  "b": [\n    1,\n    {}\n  ],\n  "a": []\n}',
    "{{ {'b': 'é', 'a': none} | tojson(ensure_ascii=true, sort_keys=true, separators=(',', ':')) }}":
      '{"a":null,"b":"\\u00e9"}',
    "{{ {1: 2.0, none: true} | tojson }}": '{"1": 2.0, "null": true}',
  },
  "rare cases of filters and tests": {
    "{{ 'a,b,,c x_y' | wordcount }}|{{ [1, 'a'] | wordcount }}": "4|2",
    "{{ false is even }}|{{ true is odd }}|{{ 1.0 is odd }}|{{ 1.5 is even }}": "True|True|True|False",
    "{{ 'é😀ß'.title() }}|{{ 'ßA'.capitalize() }}": "É😀Ss|Ssa",
    '{{ "it\'s a-b <c tool_use {d" | title }}|{{ "it\'s tool_use".title() }}':
      "It's A-B <C Tool_use {D|It'S Tool_Use",
    "{{ '²'.isdigit() }}{{ '²'.isdecimal() }}{{ '½'.isdigit() }}{{ '٣'.isdigit() }}": "TrueFalseFalseTrue",
    "{{ '1_000' | int }}|{{ '1_0.5' | float }}|{{ '1__0' | int }}": "1000|10.5|0",
    "{{ '9007199254740993' | int | int }}|{{ '1e999' | int(5) }}|{{ ('9' * 4301) | int(6) }}":
      "9007199254740993|5|6",
    "{{ messages[0] | attr('role') is defined }}{{ 'a' | attr('upper') is defined }}": "FalseTrue",
    "[{{ '\na\n\nb' | indent(2, true) }}]": "[  \n  a\n\n  b]",
  },
  "white space and characters of Python": {
    "[{{ messages[0].content.strip() }}]": "[a\u0085b 😀z]",
    "[{{ messages[0].content | trim }}]": "[a\u0085b 😀z]",
    "[{{ ' \n a\n'.strip('\n') }}][{{ 'xxabxx'.lstrip('x') }}][{{ 'xxab\n\n'.rstrip('\n') }}]":
      "[ \n a][abxx][xxab]",
    "{{ 'a\ufeff'.strip() | length }}": "2",
    "{{ 'a😀b' | length }}{{ 'a😀b'[1] }}{{ 'a😀b'[::-1] }}{{ 'abc'[-2:] }}": "3😀b😀abc",
    "{{ 'a\x1cb\x1dc\x1ed\r\ne\x85f\vg\n\nh'.splitlines() | join('|') }}{{ 'a\x1eb'.splitlines(true) | length }}":
      "a|b|c|d|e|f|g||h2",
    "{{ ' a  b c '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a,b,c'.rsplit(',', 1)[0] }}":
      "['a', 'b', 'c']['a', 'b,c']a,b",
  },
  members: {
    "{{ messages[0].items() | list | length }}{{ messages[0]['items'] }}": "3['i']",
    "{{ messages[0].get('name') }}{{ messages[0].get('name', 'x') }}{{ messages[0].name is defined }}":
      "NonexFalse",
    "{% for key, value in messages[1].calls[0].arguments.items() %}{{ key }}={{ value }};{% endfor %}":
      "city=Zürich;it's=\"q';",
    "{{ 'role' in messages[0] }}{{ 'x' in missing_list }}{{ 'b' not in 'abc' }}{{ 2 in [1, 2.0] }}":
      "TrueFalseFalseTrue",
  },
  "parts of texts and lists that are looked through": {
    "{{ 'a😀ca😀c'.find('😀', 2) }}{{ 'abcabc'.rfind('b', 0, -2) }}{{ 'abcabc'.index('b', 2) }}{{ 'abc'.find('', 4) }}":
      "414-1",
    "{{ 'abc'.startswith('b', 1) }}{{ 'abc'.endswith(('x', 'b'), 0, 2) }}{{ 'abc'.startswith('', 2, 1) }}":
      "TrueTrueFalse",
    "{{ 'abcabc'.count('b', 3) }}{{ 'abc'.count('') }}{{ 'abc'.count('', 1) }}": "143",
    "{{ [1, 2, 1].index(1, 1) }}{{ [1, 2, 1].index(1, -1, 9) }}": "22",
  },
  scopes: {
    "{% set a = 1 %}{% for i in range(3) %}{{ a }}{% set a = 5 %}{% endfor %}{{ a }}": "1111",
    "{% set ns = namespace(n=none) %}{% for m in messages %}{% set ns.n = loop.index %}{% endfor %}{{ ns.n }}":
      "2",
    "{% macro f(a, b=2) %}{{ a }}{{ b }}{{ kwargs }}{% endmacro %}{{ f(1) }}{{ f(b=3, a=none, c=4) }}":
      "12{}None3{'c': 4}",
    "{% macro f() %}[{{ caller(1) }}]{% endmacro %}{% call(x) f() %}{{ x }}y{% endcall %}": "[1y]",
    "{% for i in range(5) %}{{ i }}{% if i == 1 %}a{% continue %}{% endif %}{% if i == 3 %}b{% break %}{% endif %},{% endfor %}":
      "0,1a2,3b",
    "{% for m in messages if m.role == 'tool' %}x{% else %}none{% endfor %}": "none",
    "{% for c in 'ab' %}{{ loop.index0 }}{{ c }}{{ loop.nextitem }}{{ loop.last }}{% endfor %}":
      "0abFalse1bTrue",
    "{% filter upper %}a{% set x %}b{% endset %}{{ x }}{% endfilter %}": "AB",
  },
  numbers: {
    "{{ 7 // 2 }}{{ -7 // 2 }}{{ -7 % 3 }}{{ 7 / 2 }}{{ 2 ** 3 }}{{ 1 + true }}": "3-423.582",
    "{{ 4 / 2 }}{{ '3.7' | int }}{{ 'x' | int(9) }}{{ 2.7 | int }}{{ '1e3' | float }}{{ -3 | abs }}":
      "2.03921000.03",
  },
  "filters and tests": {
    "{{ messages | map(attribute='role') | join(', ') }}": "user, assistant",
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | rejectattr('calls', 'defined') | map(attribute='role') | list }}":
      "1['user']",
    "{% if [] | select %}true{% endif %}{{ tools | selectattr('x') | list }}": "true[]",
    "{{ [3, 1, 2] | sort | join }}{{ ['b', 'A'] | sort }}{{ {'b': 1, 'a': 2} | dictsort }}":
      "123['A', 'b'][('a', 2), ('b', 1)]",
    "{{ [1, 2, 1] | unique | list }}{{ [1, 3] | max }}{{ ['A', 'b'] | min }}{{ [1, 2] | reverse | list }}":
      "[1, 2]3A[2, 1]",
    "{{ missing | default('d') }}{{ '' | default('e', true) }}{{ none | default('f') }}": "deNone",
    "{{ ['a', 'b'] | map('upper') | list }}{{ 'a-b' | replace('-', '+') }}{{ {'a': 1} | string }}":
      "['A', 'B']a+b{'a': 1}",
    "{{ 'x\n\ny' | indent(2) }}|{{ 'x\ny' | indent(2, true) }}|{{ 'hELLO wORLD' | title }}|{{ 'hELLO' | capitalize }}":
      "x\n\n  y|  x\n  y|Hello World|Hello",
    "{{ 1 is integer }}{{ 1.0 is integer }}{{ messages is sequence }}{{ messages[0] is mapping }}{{ 'a' is iterable }}{{ true is number }}":
      "TrueFalseTrueTrueTrueTrue",
    "{{ '%s: %d%%' | format('a', 3) }}{{ '{} {1} {x}'.format(0, 1, x=2) if false else '{}-{x}'.format(0, x=2) }}":
      "a: 3%0-2",
  },
  "tests with arguments": {
    "{{ 4 is divisibleby 2 }}{{ 4 is divisibleby(3) }}{{ 1 is eq 1 }}{{ 1 is not ne 1 }}{{ 1 is lt 2 and 3 is ge(2) }}":
      "TrueFalseTrueTrueTrue",
    "{{ 'a' is in 'abc' }}{{ 1 is in [2, 3] }}{{ 1 is not in [2] }}{{ true is sameas true }}{{ 'a' if 1 is in [1] else 'b' }}":
      "TrueFalseTrueTruea",
    "{% for m in messages if m.role is eq messages[0].role %}{{ m.role is defined }}{% endfor %}": "True",
    "{{ (1 is eq(2)) is eq (3 is eq 4) }}": "True",
  },
  "numbers and texts that are rounded, filled up and parted": {
    "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 0.125 | round(2) }} {{ 2.4 | round(0, 'ceil') }} {{ 2.41 | round(1, 'floor') }} {{ 2 | round }} {{ 1234.5678 | round(-2) }}":
      "2.0 4.0 2.67 0.12 3.0 2.4 2 1200.0",
    "{{ '%05d|%5.1f|%-5s|%5s|%05d|%.2f|%f' % (7, 2.25, 'a', 'b', -7, 2.345, 1) }}":
      "00007|  2.2|a    |    b|-0007|2.35|1.000000",
    "{{ 'a'.center(4) }}|{{ 'ab'.center(5, '*') }}|{{ 'a' | center(5) }}|{{ 'a'.ljust(3) }}|{{ '😀'.rjust(3, '*') }}|{{ '-5'.zfill(4) }}|{{ '5'.zfill(1) }}":
      " a  |**ab*|  a  |a  |**😀|-005|5",
    "{{ [1, 2] | sum }} {{ [{'a': 2}, {'a': 1.5}] | sum(attribute='a') }} {{ [[1], [2]] | sum(start=[]) }}":
      "3 3.5 [1, 2]",
    "{{ [1, 2, 3] | batch(2) | list }} {{ [1, 2, 3] | batch(2, 'x') | list }} {{ [1, 2, 3, 4, 5] | slice(3) | list }} {{ [1, 2, 3, 4] | slice(3, 0) | list }}":
      "[[1, 2], [3]] [[1, 2], [3, 'x']] [[1, 2], [3, 4], [5]] [[1, 2], [3, 0], [4, 0]]",
    "{% for x in [1, 2, 3] %}{{ loop.changed(x // 2) }}{% endfor %}": "TrueTrueFalse",
  },
  "line ends": {
    "a\r\n{% if true %}\r\nb\r\n{% endif %}\r\nc\r\n": "a\nb\nc",
  },
};

for (const [about, templates] of Object.entries(WRITTEN)) {
  test(`a template writes what Python writes: ${about}`, () => {
    for (const [source, expected] of Object.entries(templates)) {
      assert.equal(parseTemplate(source)(variables), expected, source);
    }
  });
}

test("a long text is no number after time linear in it", () => {
  const start = processorMs();
  assert.equal(parseTemplate("{{ digits | float(1) }}")({ digits: `${"1".repeat(100_000)}x` }), "1");
  assert.ok(processorMs() - start < 1000);
});

describe("what Python refuses", () => {
  const refused: Readonly<Record<string, RegExp>> = {
    "{{ 'a' + messages[1].calls[0].arguments }}": /str \+ dict is not defined/,
    "{{ missing.name }}": /"missing" is undefined/,
    "{{ messages[0].name.first }}": /"name", which dict does not have, is undefined/,
    "{{ messages[0].update({}) }}": /"update", which dict does not have, is undefined/,
    "{{ missing | tojson }}": /"missing" cannot be written as JSON/,
    "{{ [1] | select | length }}": /has no length/,
    "{{ 1 / 0 }}": /division by zero/,
    "{{ 'a' < 1 }}": /str and int cannot be ordered/,
    "{{ 'a' | nosuch }}": /the filter "nosuch" is unknown/,
    "{{ 'a' | upper(3) }}": /argument 1 is one too many/,
    "{{ 'a'.upper(foo=2) }}": /the argument "foo" is unknown/,
    "{{ ['a'] | map('trim', 'a', 'b') | list }}": /argument 2 is one too many/,
    "{{ {}.get('a', default=1, other=2) }}": /the argument "other" is unknown/,
    "{{ '0x1F' | int(0, 16) }}": /argument 2 is one too many/,
    "{{ range(stop=3) }}": /the argument "stop" is unknown/,
    "{{ 'a' is nosuch }}": /the test "nosuch" is unknown/,
    "{{ 'a' * 99999999 }}{{ 9 ** 99999 }}": /a text of 99999999 characters/,
    "{{ '{:>{w}}'.format('a', w=4) }}": /a format with \{ within or alone/,
    "{{ 9007199254740993 }}": /a whole number beyond 2⁵³/,
    "{{ 9 ** 99999 }}": /too large/,
  };
  for (const [source, says] of Object.entries(refused))
    test(source, () => assert.throws(() => parseTemplate(source)(variables), says));
});
